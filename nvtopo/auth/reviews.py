"""Who holds a token and what they may do, as the API server reviews it: TokenReview and SubjectAccessReview.

https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/ and
https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/subject-access-review-v1/. Both are created
and never kept; asking takes the right to create them (what the cluster role ``system:auth-delegator`` gives).
"""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from nvtopo.auth.rights import AUDIENCE, Right
from nvtopo.auth.user import User
from nvtopo.kube.client import Client
from nvtopo.model.records.record import Record
from nvtopo.wire.documents import Json

READ_SECONDS: Final = 5.0
"""How long a review may take, in seconds; a caller waits for it."""

_USER_REVIEWS: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
_ACCESS_REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


class TokenStatus(Record, frozen=True, kw_only=True):
    """``TokenReviewStatus``."""

    authenticated: bool = False
    user: User = User()
    audiences: tuple[str, ...] = ()


class AccessStatus(Record, frozen=True, kw_only=True):
    """``SubjectAccessReviewStatus``; neither allowed nor denied means no."""

    allowed: bool = False
    denied: bool = False


class TokenReview(Record, frozen=True, kw_only=True):
    """A TokenReview that was answered."""

    status: TokenStatus


class AccessReview(Record, frozen=True, kw_only=True):
    """A SubjectAccessReview that was answered."""

    status: AccessStatus


Answered = TypeVar("Answered", TokenReview, AccessReview)

_EXPECTED: Final = "a review with its status"
_USER_REVIEW: Final = Json(TokenReview, _EXPECTED)
_ACCESS_REVIEW: Final = Json(AccessReview, _EXPECTED)


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
        status = self._review(_USER_REVIEWS, {"token": token, "audiences": self.audiences}, _USER_REVIEW).status
        # An authenticator that knows nothing of audiences leaves them out, and has not looked at ours.
        ours = set(self.audiences) & set(status.audiences)
        return status.user if status.authenticated and ours and status.user.username else None

    def allowed(self, user: User, right: Right) -> bool:
        """Whether the user has the right.

        Raises:
            ApiError: the API server did not review.
            ParseError: its answer is no review.
        """
        who = {"user": user.username, "uid": user.uid, "groups": user.groups, "extra": user.extra}
        status = self._review(_ACCESS_REVIEWS, who | dict(right.attributes), _ACCESS_REVIEW).status
        return status.allowed and not status.denied

    def _review(self, path: str, spec: Mapping[str, Any], answered: Json[Answered]) -> Answered:
        answer = self._client.create(path, msgspec.json.encode({"spec": spec}), seconds=READ_SECONDS)
        return answered.read(answer, f"POST {path}")
