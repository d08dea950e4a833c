"""HTTP GET from an aggregator or from Prometheus, with deadlines and limits for head and body."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from time import monotonic
from types import MappingProxyType
from typing import Final
from urllib.error import HTTPError
from urllib.request import Request

from nvtopo.errors import ParseError, ReadError
from nvtopo.wire.documents import Json, one_line
from nvtopo.wire.opening import opener

_SECONDS: Final = 10.0
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_BODY_SECONDS: Final = 60.0
MOST_BYTES: Final = 64 << 20
_PIECE_BYTES: Final = 1 << 16
_LONGEST_REFUSAL: Final = 1 << 12
_ERROR: Final = Json(dict[str, object], "an error")


class Refused(ReadError):
    """The server answered, and not with what was asked for."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def get(url: str, token: str = "", *, most_bytes: int = MOST_BYTES) -> bytes:
    """What the server answers.

    Raises:
        ReadError: it does not, or with more bytes; ``Refused`` if it refuses.
    """
    with opened(url, token) as answer:
        return body(url, answer, most_bytes)


def post(url: str, form: bytes, token: str, *, seconds: float, most_bytes: int = MOST_BYTES) -> bytes:
    """What the server answers to a form, if its head and its body each come within so many seconds.

    Raises:
        ReadError: as ``get``.
    """
    with opened(url, token, seconds=seconds, form=form) as answer:
        return body(url, answer, most_bytes, seconds)


@contextmanager
def opened(
    url: str,
    token: str,
    headers: Mapping[str, str] = _NO_HEADERS,
    seconds: float = _SECONDS,
    form: bytes | None = None,
) -> Iterator[HTTPResponse]:
    """The answer to a request, of which nothing for so many seconds is an error, nor its whole head within them.

    Raises:
        ReadError: there is none, or it ends too early; ``Refused`` if it is a refusal.
    """
    if not url.startswith(("http://", "https://")):
        raise ReadError(f"{url}: expected a URL of http or https")
    request = Request(url, form, {**headers})  # noqa: S310 - the scheme is checked above
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with opener().open(request, timeout=seconds) as answer:
            yield answer
    except HTTPError as error:
        with error:
            raise Refused(f"{url}: the server answered {error.code} {_said(error)}", error.code) from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ReadError(f"{url}: {getattr(reason, 'strerror', None) or reason}") from error


def body(url: str, answer: HTTPResponse, most_bytes: int = MOST_BYTES, seconds: float = _BODY_SECONDS) -> bytes:
    """All of it, if it comes in time: a server that sends a byte now and then is given up too.

    Raises:
        ReadError: it is longer, or not here in time.
    """
    until, pieces, size = monotonic() + seconds, list[bytes](), 0
    while piece := answer.read1(_PIECE_BYTES):
        pieces.append(piece)
        size += len(piece)
        if size > most_bytes:
            raise ReadError(f"{url}: expected at most {most_bytes >> 20} MiB, got more")
        if monotonic() > until:
            raise ReadError(f"{url}: no whole answer within {seconds:g} s")
    return b"".join(pieces)


def _said(error: HTTPError) -> str:
    """The server's error message; HTTP's reason if the response has none."""
    try:
        said = str(_ERROR.read(error.read(_LONGEST_REFUSAL))["error"])
    except (OSError, HTTPException, ParseError, KeyError):
        said = error.reason
    return one_line(said)
