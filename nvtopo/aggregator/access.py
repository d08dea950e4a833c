"""Who may read: a caller's bearer token, reviewed by the API server, and the answer remembered for a few seconds.

Reading the graph takes the right to ``list`` NodeTopologies, a node the right to ``get`` the one of its name, following
the right to ``watch`` them: who has that right can have the same facts from the API server. What can't be reviewed is
refused with 503 and is never let through.
"""

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from types import TracebackType
from typing import Final, Generic, Protocol, Self, TypeVar

from starlette.exceptions import HTTPException

from nvtopo.errors import NvtopoError
from nvtopo.kube.bearer import token_in
from nvtopo.kube.review import User
from nvtopo.kube.v1alpha1 import GROUP, PLURAL

logger = logging.getLogger(__name__)

REMEMBER_SECONDS: Final = 10.0
"""How long a token that was revoked, or a right that was taken away, still counts."""
#: How long a caller waits for a review, the wait for others' reviews included.
_REVIEW_SECONDS: Final = 10.0
_MOST_AT_ONCE: Final = 8
_MOST_REMEMBERED: Final = 4096
_RETRY_SECONDS: Final = "5"
_NOBODY: Final = User()

K = TypeVar("K")
V = TypeVar("V")


class Reviews(Protocol):
    """What is needed of a ``Reviewer``."""

    audiences: tuple[str, ...]

    def user(self, token: str) -> User | None:
        """The token's holder."""

    def allowed(self, user: User, verb: str, name: str = "") -> bool:
        """Whether the holder may do that to NodeTopologies."""


class Access:
    """Asks for a token and for a right. It lives in the server's event loop; reviews block threads of their own."""

    def __init__(self, reviews: Reviews, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._reviews = reviews
        self._threads = ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="review")
        self._users: _Recent[bytes, User] = _Recent(clock)
        self._rights: _Recent[tuple[bytes, str, str], bool] = _Recent(clock)
        self._answered = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self._threads.shutdown(cancel_futures=True)

    async def check(self, authorization: str | None, verb: str, name: str) -> None:
        """Returns for a caller who may do that.

        Raises:
            HTTPException: 401 without a token that is known, 403 without the right, 503 without a review.
        """
        token = token_in(authorization or "")
        if not token:
            raise self._unknown("no bearer token")
        digest = hashlib.sha256(token.encode()).digest()
        user = self._users.find(digest)
        if user is None:
            user = await self._reviewed(lambda: self._reviews.user(token)) or _NOBODY
            self._users.keep(digest, user)
        if user is _NOBODY:
            raise self._unknown("the API server does not know this token: expired, revoked, or not meant for us")
        allowed = self._rights.find((digest, verb, name))
        if allowed is None:
            allowed = await self._reviewed(lambda: self._reviews.allowed(user, verb, name))
            self._rights.keep((digest, verb, name), allowed)
        if not allowed:
            what = f'{PLURAL}.{GROUP} "{name}"' if name else f"{PLURAL}.{GROUP}"
            raise HTTPException(HTTPStatus.FORBIDDEN, f"{user.username} may not {verb} {what}")

    async def _reviewed(self, work: Callable[[], V]) -> V:
        try:
            async with asyncio.timeout(_REVIEW_SECONDS):
                answer = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (NvtopoError, TimeoutError) as error:
            if self._answered:
                self._answered = False
                logger.warning("cannot review tokens, refusing callers", extra={"reason": str(error) or "no answer"})
            reason = "the API server does not review tokens at the moment: try again"
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, reason, {"Retry-After": _RETRY_SECONDS}) from error
        if not self._answered:
            self._answered = True
            logger.warning("tokens are reviewed again")
        return answer

    def _unknown(self, reason: str) -> HTTPException:
        how = f"kubectl create token ACCOUNT --audience {self._reviews.audiences[0]}"
        return HTTPException(HTTPStatus.UNAUTHORIZED, f"{reason} ({how})", {"WWW-Authenticate": "Bearer"})


class _Recent(Generic[K, V]):
    """What was learned in the last seconds, the oldest forgotten first."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def find(self, key: K) -> V | None:
        at, value = self._known.get(key, (None, None))
        return None if at is None or self._clock() - at >= REMEMBER_SECONDS else value

    def keep(self, key: K, value: V) -> None:
        self._known[key] = (self._clock(), value)
        self._known.move_to_end(key)
        if len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
