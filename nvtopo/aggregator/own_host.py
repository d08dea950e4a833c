"""Refuses requests for another host, where nobody is asked for a token: see ``nvtopo.auth.hosts``."""

from http import HTTPStatus

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from nvtopo.aggregator import served
from nvtopo.auth.hosts import REFUSED, is_of_this_machine


class OwnHost:
    """A middleware of ASGI."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what names this machine."""
        if scope["type"] != "http" or all(is_of_this_machine(host) for host in _hosts(scope)):
            await self._app(scope, receive, send)
            return
        body = msgspec.json.encode(served.Error(error=REFUSED))
        await Response(body, HTTPStatus.MISDIRECTED_REQUEST, media_type="application/json")(scope, receive, send)


def _hosts(scope: Scope) -> list[str]:
    return [value.decode("latin-1", "replace") for name, value in scope["headers"] if name == b"host"]
