"""Answers: a document as the client takes it, piece by piece; JSON; 304; a refusal in one line."""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nvtopo.aggregator import openapi
from nvtopo.aggregator.documents import Document, made
from nvtopo.aggregator.served import Error

_PIECE_BYTES: Final = 64 << 10
_WORTH_GZIP_BYTES: Final = 1 << 10


class _Pieces(Response):
    """An answer that is sent piece by piece, as fast as the client reads: no more of it waits in memory for each."""

    def __init__(self, pieces: tuple[bytes, ...], media_type: str, headers: Mapping[str, str]) -> None:
        self._pieces = pieces
        length = {"Content-Length": str(sum(map(len, pieces)))}
        super().__init__(None, media_type=media_type, headers={**headers, **length})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for piece in self._pieces:
            for offset in range(0, len(piece), _PIECE_BYTES):
                body = piece[offset : offset + _PIECE_BYTES]
                await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def either(
    request: Request, latest: Document, media_type: str, more: bytes = b"", headers: Mapping[str, str] | None = None
) -> Response:
    """The document and more text, as gzip if the client takes that."""
    found = {"Vary": "Accept-Encoding", **(headers or {"Cache-Control": "no-store"})}
    if not _takes_gzip(request.headers.get("accept-encoding", "")):
        return _Pieces(latest.pieces(more), media_type, found)
    if "ETag" in found:
        found["ETag"] = f"W/{found['ETag']}"  # other bytes, the same document
    return _Pieces(latest.gzip_pieces(more), media_type, {**found, "Content-Encoding": "gzip"})


def _takes_gzip(accept_encoding: str) -> bool:
    """Whether the header names it, and not to refuse it."""
    for coding in accept_encoding.lower().split(","):
        name, _, weight = coding.partition(";")
        if name.strip() in {"gzip", "x-gzip", "*"}:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def unchanged(request: Request, tag: str) -> Response | None:
    """304 if the client has this generation."""
    known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
    if tag not in known and "*" not in known:
        return None
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)


def tagged(request: Request, body: bytes, tag: str) -> Response:
    """JSON of one generation, made for this request alone; as gzip if the client takes that and it is long."""
    return _short_or_packed(request, body, {"ETag": tag, "Cache-Control": "no-cache"})


async def made_json(request: Request, make: Callable[[], bytes]) -> Response:
    """JSON made in a thread for this request alone, never cached; as gzip if the client takes that and it is long."""
    return await asyncio.to_thread(lambda: _short_or_packed(request, make(), {"Cache-Control": "no-store"}))


def _short_or_packed(request: Request, body: bytes, headers: Mapping[str, str]) -> Response:
    if len(body) < _WORTH_GZIP_BYTES or not _takes_gzip(request.headers.get("accept-encoding", "")):
        return _Pieces((body,), openapi.JSON, {**headers, "Vary": "Accept-Encoding"})
    return either(request, made("", 0, body), openapi.JSON, headers=headers)


def as_json(body: bytes) -> Response:
    """A response with JSON that must not be cached."""
    return Response(body, media_type=openapi.JSON, headers={"Cache-Control": "no-store"})


def error_line(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    """Why there is no answer."""
    line = Error(error=" ".join(reason.split()))
    return Response(msgspec.json.encode(line), status_code=status, media_type=openapi.JSON, headers=headers)
