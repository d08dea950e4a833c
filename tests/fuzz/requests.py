"""Requests of strangers: to the agent's page, as its server reads them, and to the aggregator's API, as h11 does."""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

import h11
from starlette.types import ASGIApp, Message

from nvtopo.agent.http.page import Listen, MetricsPage
from nvtopo.aggregator.api import application
from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.own_host import OwnHost
from nvtopo.aggregator.watch import Subscribers
from nvtopo.errors import ParseError
from nvtopo.kube.memory import MemoryStore
from nvtopo.runtime.visit import Progress, Visit

_CLIENT = ("127.0.0.1", 40000)


def samples() -> Iterable[bytes]:
    return (
        b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9745\r\nAccept: text/plain;version=0.0.4;q=0.5,*/*\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text;version=1.0.0\r\n\r\n",
        b'GET /v1/nodes/node-a%2f%ff%00?x=%zz HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: W/"5", *\r\n\r\n',
        b"GET /healthz HTTP/1.1\r\nHost: [::1]\r\nAuthorization: Bearer a.b.c\r\nContent-Length: 5\r\n\r\nhello",
        b"GET /page/..%2f..%2fapi.py HTTP/1.0\r\nAccept-Encoding: gzip;q=nan\r\nRange: bytes=0-\r\n\r\n",
    )


@functools.cache
def _page() -> MetricsPage:
    return MetricsPage([tuple], lambda: True, listen=Listen("127.0.0.1", 0))


def page(body: bytes) -> None:
    """One connection's bytes to the agent's page."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(0)
        theirs.send(body + b"\r\n\r\n")
        theirs.shutdown(socket.SHUT_WR)
        visit = Visit(ours, None, _CLIENT)
        if visit.advance() is not Progress.COMPLETE:
            raise ParseError("no request")
        ours.settimeout(1)
        with contextlib.suppress(OSError):
            _page()._server.finish_request(visit, _CLIENT)  # type: ignore[arg-type]  # as the server does
        answer = b""
        with contextlib.suppress(BlockingIOError):  # an empty line is no request
            answer = theirs.recv(1 << 16)
        assert not answer.startswith(b"HTTP/1.0 500"), answer


@functools.cache
def _api() -> tuple[asyncio.AbstractEventLoop, ASGIApp]:
    aggregator = Aggregator(MemoryStore())
    return asyncio.new_event_loop(), OwnHost(application(aggregator, Subscribers(lambda: aggregator.graph)))


def api(body: bytes) -> None:
    """One request to the aggregator's API, which knows no graph yet."""
    connection = h11.Connection(h11.SERVER)
    try:
        connection.receive_data(body)
        request = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise ParseError("no request") from error
    if not isinstance(request, h11.Request):
        raise ParseError("no request")
    raw_path, _, query = request.target.partition(b"?")
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "root_path": "",
        "method": request.method.decode("ascii"), "path": unquote(raw_path.decode("ascii")), "raw_path": raw_path,
        "query_string": query, "headers": list(request.headers), "client": _CLIENT, "server": _CLIENT,
    }  # fmt: skip
    if scope["path"].startswith("/v1/graph/watch"):
        return  # it has no end
    loop, app = _api()
    status = loop.run_until_complete(_answered(app, scope))
    assert status != 500, request


async def _answered(app: ASGIApp, scope: dict[str, Any]) -> int:
    status = 0

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    await app(scope, receive, send)
    return status
