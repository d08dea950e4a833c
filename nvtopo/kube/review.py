"""Whose token that is and what its holder may do: the API server's own answers, TokenReview and SubjectAccessReview.

https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/ and
https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/subject-access-review-v1/. Both are created
and never kept; asking takes the right to create them (what the cluster role ``system:auth-delegator`` gives).
"""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from nvtopo.errors import ParseError
from nvtopo.kube.client import Client
from nvtopo.kube.v1alpha1 import GROUP, PLURAL
from nvtopo.model.record import Record

AUDIENCE: Final = "nvtopo"
"""Whom a token has to be meant for. One that is meant for us is of no use at the API server, should we leak it."""
READ_SECONDS: Final = 5.0
"""How long a review may take to answer: somebody waits for it."""

_USER_REVIEWS: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
_ACCESS_REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


class User(Record, frozen=True, kw_only=True):
    """``UserInfo``: who somebody is, as the API server's authenticators say."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = {}


class TokenStatus(Record, frozen=True, kw_only=True):
    """``TokenReviewStatus``."""

    authenticated: bool = False
    user: User = User()
    audiences: tuple[str, ...] = ()


class AccessStatus(Record, frozen=True, kw_only=True):
    """``SubjectAccessReviewStatus``; neither allowed nor denied is a no."""

    allowed: bool = False
    denied: bool = False


class TokenReview(Record, frozen=True, kw_only=True):
    """A TokenReview that was answered."""

    status: TokenStatus


class AccessReview(Record, frozen=True, kw_only=True):
    """A SubjectAccessReview that was answered."""

    status: AccessStatus


Answered = TypeVar("Answered", TokenReview, AccessReview)


class Reviewer:
    """Asks the API server; remembers nothing. Usable from several threads at once."""

    def __init__(self, client: Client, audiences: tuple[str, ...] = (AUDIENCE,)) -> None:
        self._client = client
        self.audiences = audiences

    def user(self, token: str) -> User | None:
        """The holder of a token for one of our audiences; None where the API server knows none.

        Raises:
            ApiError: it did not review.
            ParseError: its answer is no review.
        """
        status = self._review(_USER_REVIEWS, {"token": token, "audiences": self.audiences}, TokenReview).status
        # An authenticator that knows nothing of audiences leaves them out, and has not looked at ours.
        ours = set(self.audiences) & set(status.audiences)
        return status.user if status.authenticated and ours and status.user.username else None

    def allowed(self, user: User, verb: str, name: str = "") -> bool:
        """Whether the user may do that to NodeTopologies, or to the one of that name.

        Raises:
            ApiError: the API server did not review.
            ParseError: its answer is no review.
        """
        attributes = {"group": GROUP, "resource": PLURAL, "verb": verb, "name": name}
        return self._may(user, {"resourceAttributes": attributes})

    def may_get(self, user: User, path: str) -> bool:
        """Whether the user may get that path, which is no resource's: ``nonResourceURLs`` in a cluster role.

        Raises:
            ApiError: the API server did not review.
            ParseError: its answer is no review.
        """
        return self._may(user, {"nonResourceAttributes": {"path": path, "verb": "get"}})

    def _may(self, user: User, attributes: Mapping[str, Any]) -> bool:
        who = {"user": user.username, "uid": user.uid, "groups": user.groups, "extra": user.extra}
        status = self._review(_ACCESS_REVIEWS, who | dict(attributes), AccessReview).status
        return status.allowed and not status.denied

    def _review(self, path: str, spec: Mapping[str, Any], answered: type[Answered]) -> Answered:
        answer = self._client.create(path, msgspec.json.encode({"spec": spec}), read_seconds=READ_SECONDS)
        try:
            return msgspec.json.decode(answer, type=answered)
        except msgspec.MsgspecError as error:
            raise ParseError(f"POST {path}: expected a review with its status: {error}") from error
