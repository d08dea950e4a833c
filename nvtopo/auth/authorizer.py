"""Asks the API server what ``Verdicts`` does not know. What can't be reviewed is refused with 503."""

import logging
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Protocol

from nvtopo.auth.decision import AccessDenied
from nvtopo.auth.rights import Right
from nvtopo.auth.user import User
from nvtopo.auth.verdicts import Allowed, Decide, Identify, Lifetimes, Request, Step, Verdicts
from nvtopo.errors import NvtopoError

logger = logging.getLogger(__name__)

UNREVIEWED: Final = AccessDenied(
    HTTPStatus.SERVICE_UNAVAILABLE, "the API server does not review tokens at the moment: try again", 5
)
#: Whose token, and whether they may; a verdict that another thread's review took away meanwhile is asked for again.
_MOST_STEPS: Final = 4


class Reviews(Protocol):
    """What is needed of a ``Reviewer``."""

    @property
    def audiences(self) -> tuple[str, ...]:
        """Those that tokens must name."""

    def user(self, token: str) -> User | None:
        """The token's holder; None if the API server knows none."""

    def allowed(self, user: User, right: Right) -> bool:
        """Whether the holder has the right."""


class Authorizer:
    """Usable from several threads at once. No lock is held while the API server is asked."""

    def __init__(
        self,
        reviews: Reviews,
        lifetimes: Lifetimes,
        *,
        clock: Callable[[], float] = time.monotonic,
        unix_clock: Callable[[], float] = time.time,
    ) -> None:
        self._reviews = reviews
        self._verdicts = Verdicts(lifetimes, reviews.audiences)
        self._clock = clock
        self._unix_clock = unix_clock
        self._lock = threading.Lock()
        self._reviewing = True

    def next(self, request: Request) -> Step:
        """A decision from memory, at once; or the review to pass to ``finish``."""
        with self._lock:
            return self._verdicts.next(request, self._clock(), self._unix_clock())

    def was_good(self, request: Request) -> bool:
        """Whether the token was good when it was last reviewed: strangers' reviews must not delay its next one."""
        with self._lock:
            return self._verdicts.was_good(request)

    def finish(self, request: Request, step: Step) -> AccessDenied | None:
        """Make the reviews that are missing, which takes up to some seconds; None if the caller has the right."""
        for _ in range(_MOST_STEPS):
            if isinstance(step, Allowed):
                return None
            if isinstance(step, AccessDenied):
                return step
            try:
                self._review(step)
            except NvtopoError as error:
                self.report(unavailable=str(error))
                return UNREVIEWED
            self.report()
            step = self.next(request)
        return UNREVIEWED

    def check(self, request: Request) -> AccessDenied | None:
        """``next`` and ``finish``."""
        return self.finish(request, self.next(request))

    def report(self, unavailable: str | None = None) -> None:
        """Log whether tokens are reviewed, when that changes; ``unavailable`` is the reason why they are not."""
        with self._lock:
            before, self._reviewing = self._reviewing, unavailable is None
        if before and unavailable is not None:
            logger.warning("cannot review tokens, refusing callers", extra={"reason": unavailable})
        elif not before and unavailable is None:
            logger.info("tokens are reviewed again")

    def _review(self, question: Identify | Decide) -> None:
        if isinstance(question, Identify):
            user = self._reviews.user(question.token)
            with self._lock:
                self._verdicts.identified(question.token, user, self._clock())
        else:
            allowed = self._reviews.allowed(question.user, question.right)
            with self._lock:
                self._verdicts.decided(question, allowed=allowed, now=self._clock())
