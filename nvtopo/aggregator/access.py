"""Who may read the aggregator's API. Reviews run in threads of their own, never in the server's event loop.

Reading the graph takes the right to ``list`` NodeTopologies, a node the right to ``get`` the one of its name, following
the right to ``watch`` them: who has that right can have the same facts from the API server. ``/metrics`` takes the
right to ``get`` that path.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self

from starlette.exceptions import HTTPException

from nvtopo.auth.authorizer import UNREVIEWED, Authorizer
from nvtopo.auth.decision import AccessDenied
from nvtopo.auth.rights import Right
from nvtopo.auth.verdicts import Allowed, Decide, Identify, Lifetimes, Request

LIFETIMES: Final = Lifetimes(holder=10.0, allowed=10.0, refused=10.0)
"""How long a token that was revoked, or a right that was taken away, still counts."""
#: How long a caller waits for its reviews, the wait for others' included.
_REVIEW_SECONDS: Final = 10.0
#: Reviews under way, and strangers' that wait for their turn. Tokens that were good have threads of their own.
_MOST_AT_ONCE: Final = 6
_MOST_OF_KNOWN: Final = 4
_MOST_WAITING: Final = 64


class Access:
    """Checks callers while it is entered."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        self._strangers = ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="review")
        self._known = ThreadPoolExecutor(_MOST_OF_KNOWN, thread_name_prefix="review-known")
        self._waiting = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        for threads in (self._strangers, self._known):
            threads.shutdown(cancel_futures=True)

    async def check(self, authorization: str, right: Right, address: str) -> None:
        """Return if the caller has the right.

        Raises:
            HTTPException: 401 without a token that is known, 403 without the right, 429 if the address caused too many
                reviews, 503 without a review.
        """
        request = Request(authorization, right, address)
        step = self._authorizer.next(request)
        if isinstance(step, Allowed):
            return
        denied = step if isinstance(step, AccessDenied) else await self._reviewed(request, step)
        if denied is not None:
            raise HTTPException(denied.status, denied.reason, denied.headers)

    async def _reviewed(self, request: Request, question: Identify | Decide) -> AccessDenied | None:
        if self._authorizer.was_good(request):
            return await self._finished(self._known, request, question)
        if self._waiting >= _MOST_WAITING:
            return UNREVIEWED
        self._waiting += 1
        try:
            return await self._finished(self._strangers, request, question)
        finally:
            self._waiting -= 1

    async def _finished(
        self, threads: ThreadPoolExecutor, request: Request, question: Identify | Decide
    ) -> AccessDenied | None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_REVIEW_SECONDS):
                return await loop.run_in_executor(threads, self._authorizer.finish, request, question)
        except TimeoutError:
            self._authorizer.report(unavailable="no answer")
            return UNREVIEWED
