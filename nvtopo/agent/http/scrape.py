"""Who may scrape: accounts that may ``get`` the path ``/metrics``, as with a kubelet's page, cached as by a kubelet."""

import threading
from http import HTTPStatus
from typing import Final

from nvtopo.auth.authorizer import Authorizer
from nvtopo.auth.decision import AccessDenied, Authorize
from nvtopo.auth.rights import METRICS
from nvtopo.auth.verdicts import Allowed, Lifetimes, Request

LIFETIMES: Final = Lifetimes(holder=120.0, allowed=300.0, refused=30.0)
#: Reviews under way, each with a thread that waits for the API server. Tokens that were good have their own.
MOST_REVIEWS: Final = 6
_MOST_REVIEWS_OF_KNOWN: Final = 4
_BUSY: Final = AccessDenied(HTTPStatus.SERVICE_UNAVAILABLE, "too many tokens are being reviewed: try again", 1)


def scrapers(authorizer: Authorizer) -> Authorize:
    """Let in whoever may get ``/metrics``."""
    strangers, known = threading.BoundedSemaphore(MOST_REVIEWS), threading.BoundedSemaphore(_MOST_REVIEWS_OF_KNOWN)

    def authorize(authorization: str, address: str) -> AccessDenied | None:
        request = Request(authorization, METRICS, address)
        step = authorizer.next(request)
        if isinstance(step, Allowed):
            return None
        if isinstance(step, AccessDenied):
            return step
        reviews = known if authorizer.was_good(request) else strangers
        if not reviews.acquire(blocking=False):
            return _BUSY
        try:
            return authorizer.finish(request, step)
        finally:
            reviews.release()

    return authorize
