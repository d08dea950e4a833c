"""An answer that is not 2xx, or none at all → the exception that says so in one line.

The body is used only where it is a ``Status`` of the API server: a proxy in between answers with pages of HTML. Text is
cut, so that no answer can flood a log.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal, TypeVar

import msgspec

from nvtopo.errors import ApiError, Conflict, Forbidden, Gone, NotFound, ParseError, ReadError
from nvtopo.wire.documents import Json, one_line

D = TypeVar("D")

_FORBIDDEN: Final = 403
_INVALID: Final = 422
_CLASSES: Final[Mapping[int, type[ApiError]]] = {
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
}
#: What the API server's priority and fairness sends; also 503 may come with the header.
_TOO_MANY_REQUESTS: Final = 429
#: Where 429 comes without a number that can be read.
_DEFAULT_RETRY_SECONDS: Final = 1.0
#: A server that asks for more than this is asked again all the same.
_LONGEST_RETRY_SECONDS: Final = 120.0
_SECONDS: Final = re.compile(r"[ \t]*([0-9]+)[ \t]*")
#: What HTTP has for a status.
_STATUSES: Final = range(100, 600)


class Throttled(ApiError):
    """429, or any refusal with ``Retry-After``: ask again after ``retry_after`` seconds, and not before."""

    def __init__(self, message: str, *, status: int, retry_after: float) -> None:
        super().__init__(message, status=status)
        self.retry_after = retry_after


class StatusBody(msgspec.Struct):
    """``kind: Status``, the API server's own words for a refusal; also in a watch's ERROR event."""

    kind: Literal["Status"]
    message: str = ""
    reason: str = ""
    code: int = 0


_STATUS: Final = Json(StatusBody, "a Status")


def refusal(what: str, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The exception for an answer to ``what`` (method and path)."""
    said = _status(body)
    text = f"{what}: {status}"
    if said is not None:
        text = " ".join(part for part in (text, one_line(said.reason)) if part) + f": {one_line(said.message)}"
    seconds = _retry_after(headers.get("Retry-After"), status)
    if seconds is not None:
        return Throttled(text, status=status, retry_after=seconds)
    return _CLASSES.get(status, ApiError)(text, status=status)


def each_alone(write: Callable[[str, D], None]) -> Callable[[str, D], None]:
    """The same write, with 403 as a refusal of that object alone: a quota, policy or webhook may stand in its way.

    401 is about our credentials, and stays.
    """

    def written(name: str, document: D) -> None:
        try:
            write(name, document)
        except Forbidden as error:
            if error.status != _FORBIDDEN:
                raise
            raise ApiError(str(error), status=_INVALID) from error

    return written


def watch_refusal(what: str, body: bytes) -> ApiError:
    """The exception for the object of a watch's ERROR event."""
    said = _status(body)
    return refusal(what, said.code if said is not None and said.code in _STATUSES else 0, {}, body)


@contextlib.contextmanager
def unanswered(what: str) -> Iterator[None]:
    """Turns what the network and the credentials raise into ``ApiError`` without a status."""
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (HTTPError, OSError, ReadError) as error:
        raise ApiError(one_line(f"{what}: no answer: {error}")) from error


def _status(body: bytes) -> StatusBody | None:
    try:
        return _STATUS.read(body)
    except ParseError:
        return None


def _retry_after(value: str | None, status: int) -> float | None:
    """Seconds; None where nothing was asked for. A date, which the API server never sends, counts as unreadable."""
    found = _SECONDS.fullmatch(value or "")
    if found is not None:
        return min(float(found[1]), _LONGEST_RETRY_SECONDS)
    return _DEFAULT_RETRY_SECONDS if status == _TOO_MANY_REQUESTS else None
