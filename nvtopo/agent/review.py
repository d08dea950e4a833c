"""Who may scrape, by the API server's own word: whoever may ``get`` the path ``/metrics``, as with a kubelet's page.

An agent asks as often as a kubelet does with its defaults: about a holder every two minutes, about a right every five,
or after half a minute where it was refused. What can't be reviewed is refused with 503, unless it is remembered.
"""

import hashlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from nvtopo.agent.protection import Refusal
from nvtopo.errors import NvtopoError
from nvtopo.kube.bearer import token_in
from nvtopo.kube.review import User

logger = logging.getLogger(__name__)

PATH: Final = "/metrics"
KNOWN_SECONDS: Final = 120.0
ALLOWED_SECONDS: Final = 300.0
REFUSED_SECONDS: Final = 30.0
_MOST_REMEMBERED: Final = 64


class Reviews(Protocol):
    """What is needed of ``nvtopo.kube.review.Reviewer``."""

    def user(self, token: str) -> User | None:
        """The token's holder; None where the API server knows none."""

    def may_get(self, user: User, path: str) -> bool:
        """Whether the holder may get that path."""


class _Verdict(NamedTuple):
    """What is remembered of a token."""

    user: User | None
    known_until: float
    allowed: bool
    decided_until: float


class Reviewed:
    """Says who may scrape; from any thread."""

    def __init__(self, reviews: Reviews, clock: Callable[[], float] = time.monotonic) -> None:
        self._reviews = reviews
        self._clock = clock
        self._lock = threading.Lock()
        self._verdicts: OrderedDict[bytes, _Verdict] = OrderedDict()
        self._answered = True

    def __call__(self, authorization: str) -> Refusal | None:
        """None for who may."""
        token = token_in(authorization)
        if not token:
            return Refusal("401 Unauthorized", "expected a bearer token")
        try:
            verdict = self._verdict(token)
        except NvtopoError as error:
            self._say(answered=False, reason=str(error))
            return Refusal("503 Service Unavailable", "the API server does not review tokens at the moment")
        if verdict.user is None:
            return Refusal("401 Unauthorized", "the API server does not know this token, or it is not meant for us")
        if not verdict.allowed:
            return Refusal("403 Forbidden", f"{verdict.user.username} may not get {PATH}")
        return None

    def _verdict(self, token: str) -> _Verdict:
        """Remembered, or reviewed now.

        Raises:
            NvtopoError: the API server does not review.
        """
        digest, now = hashlib.sha256(token.encode()).digest(), self._clock()
        with self._lock:
            known = self._verdicts.get(digest)
        if known and now < min(known.known_until, known.decided_until):
            return known
        if known and now < known.known_until:
            user, until = known.user, known.known_until
        else:
            user = self._reviews.user(token)
            until = now + (KNOWN_SECONDS if user else REFUSED_SECONDS)
        allowed = user is not None and self._reviews.may_get(user, PATH)
        self._say(answered=True)
        verdict = _Verdict(user, until, allowed, now + (ALLOWED_SECONDS if allowed else REFUSED_SECONDS))
        with self._lock:
            self._verdicts[digest] = verdict
            self._verdicts.move_to_end(digest)
            if len(self._verdicts) > _MOST_REMEMBERED:
                self._verdicts.popitem(last=False)
        return verdict

    def _say(self, *, answered: bool, reason: str = "") -> None:
        """Transitions only."""
        with self._lock:
            before, self._answered = self._answered, answered
        if before and not answered:
            logger.warning("cannot review tokens, refusing scrapes", extra={"reason": reason})
        elif answered and not before:
            logger.info("tokens are reviewed again")
