"""What is remembered of tokens, and what must be reviewed: a state machine without I/O, clock or thread.

``next`` gives a decision, or the review that is missing; its answer goes to ``identified`` or ``decided``. Holders and
refused tokens are kept apart, so that no number of junk tokens drops a token that was good. A review is charged to the
client's address, except for a token and a right that were good before: whoever floods us from Prometheus' address does
not stop its scrapes.
"""

import hashlib
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, NamedTuple

from nvtopo.auth.bearer import claims_of, token_in
from nvtopo.auth.decision import AccessDenied
from nvtopo.auth.lru import Lru
from nvtopo.auth.review_budget import ReviewBudget
from nvtopo.auth.rights import Right
from nvtopo.auth.user import User

_MOST_HOLDERS: Final = 1024
_MOST_REFUSED: Final = 1024
_MOST_RIGHTS: Final = 64
#: A token that was good is reviewed again without charge no more often than that.
_FREE_REVIEW_SECONDS: Final = 1.0


class Lifetimes(NamedTuple):
    """For how many seconds an answer of the API server counts."""

    holder: float
    allowed: float
    refused: float
    """An unknown token, and a right that was not allowed."""


class Request(NamedTuple):
    """Who asks for what."""

    authorization: str
    """The header; empty if there is none."""
    right: Right
    address: str


class Identify(NamedTuple):
    """Review the token: whose is it?"""

    token: str


class Decide(NamedTuple):
    """Review the right: does this user have it?"""

    token: str
    user: User
    right: Right


class Allowed(NamedTuple):
    """The caller has the right."""

    username: str


Step = Allowed | AccessDenied | Identify | Decide


@dataclass(slots=True)
class _Allowance:
    """Whether a right was allowed."""

    allowed: bool
    until: float
    free_review_at: float


@dataclass(slots=True)
class _Holder:
    """A token that was good when it was last reviewed."""

    user: User
    until: float
    free_review_at: float
    rights: Lru[Right, _Allowance] = field(default_factory=lambda: Lru(_MOST_RIGHTS))


class Verdicts:
    """Not thread-safe. Moments are monotonic seconds; ``unix_now`` is compared with a token's expiry alone."""

    def __init__(self, lifetimes: Lifetimes, audiences: tuple[str, ...]) -> None:
        self._lifetimes = lifetimes
        self._audiences = audiences
        self._holders: Lru[bytes, _Holder] = Lru(_MOST_HOLDERS)
        self._refused: Lru[bytes, float] = Lru(_MOST_REFUSED)
        self._budget = ReviewBudget()

    def next(self, request: Request, now: float, unix_now: float) -> Step:
        """The decision as far as it is known, or the review to ask for."""
        token = token_in(request.authorization)
        if not token:
            return self._unauthorized("no bearer token")
        digest = _digest(token)
        if refusal := self._refusal(token, digest, now, unix_now):
            return refusal
        holder = self._holders.get(digest)
        if holder is None or now >= holder.until:
            return self._charged(Identify(token), request.address, now, free=holder)
        known = holder.rights.get(request.right)
        if known is None or now >= known.until:
            free = known if known and known.allowed else None
            return self._charged(Decide(token, holder.user, request.right), request.address, now, free=free)
        if known.allowed:
            return Allowed(holder.user.username)
        return AccessDenied(HTTPStatus.FORBIDDEN, f"{holder.user.username} may not {request.right}")

    def was_good(self, request: Request) -> bool:
        """Whether the token was good when it was last reviewed."""
        return self._holders.get(_digest(token_in(request.authorization))) is not None

    def identified(self, token: str, user: User | None, now: float) -> None:
        """The answer to ``Identify``; None if the API server does not know the token."""
        digest = _digest(token)
        if user is None:
            self._holders.drop(digest)
            self._refused.put(digest, now + self._lifetimes.refused)
            return
        self._refused.drop(digest)
        until, holder = now + self._lifetimes.holder, self._holders.get(digest)
        if holder is None or holder.user != user:
            self._holders.put(digest, _Holder(user, until, now))
        else:
            holder.until = until

    def decided(self, question: Decide, *, allowed: bool, now: float) -> None:
        """The answer to ``Decide``. It is dropped if the token has another holder by now, or none."""
        holder = self._holders.get(_digest(question.token))
        if holder is not None and holder.user == question.user:
            lifetime = self._lifetimes.allowed if allowed else self._lifetimes.refused
            holder.rights.put(question.right, _Allowance(allowed, now + lifetime, now))

    def _charged(
        self, question: Identify | Decide, address: str, now: float, *, free: _Holder | _Allowance | None
    ) -> Identify | Decide | AccessDenied:
        if free is not None and now >= free.free_review_at:
            free.free_review_at = now + _FREE_REVIEW_SECONDS
            return question
        if self._budget.take(address, now):
            return question
        return AccessDenied(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too many tokens to review from this address: try again",
            self._budget.retry_after_seconds(address, now),
        )

    def _refusal(self, token: str, digest: bytes, now: float, unix_now: float) -> AccessDenied | None:
        """Why the token need not be reviewed."""
        if now < (self._refused.get(digest) or 0.0):
            return self._unauthorized("the API server does not know this token: expired, revoked, or not meant for us")
        claims = claims_of(token)
        if claims.expired(unix_now):
            return self._unauthorized("this token has expired")
        if claims.for_others(self._audiences):
            return self._unauthorized("this token is not meant for us")
        return None

    def _unauthorized(self, reason: str) -> AccessDenied:
        how = f"kubectl create token ACCOUNT --audience {self._audiences[0]}"
        return AccessDenied(HTTPStatus.UNAUTHORIZED, f"{reason} ({how})")


def _digest(token: str) -> bytes:
    """No token is kept in memory."""
    return hashlib.sha256(token.encode()).digest()
