"""``GET /v1/history``: what changed, on one node, in one rack or domain, or anywhere."""

import asyncio
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from nvtopo.aggregator.answers import as_json
from nvtopo.aggregator.loop import Aggregator
from nvtopo.exporters import history_document

PATH: Final = "/v1/history"
_RETRY_SECONDS: Final = "5"


class HistoryApi:
    """Its one endpoint."""

    def __init__(self, aggregator: Aggregator) -> None:
        self._aggregator = aggregator

    async def history(self, request: Request) -> Response:
        """``?node=NAME`` or ``?rack=NAME``; without either, of all nodes."""
        name = request.query_params.get("node") or request.query_params.get("rack")
        return as_json(await asyncio.to_thread(self._document, name))

    def _document(self, name: str | None) -> bytes:
        graph, trail = self._aggregator.graph, self._aggregator.trail
        if graph is None:
            reason = "the NodeTopologies have not been listed yet"
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, reason, {"Retry-After": _RETRY_SECONDS})
        if name is None:
            return history_document.encode(history_document.of(trail.of_all()))
        nodes = history_document.members(graph, name) or ((name,) if trail.of(name) else None)
        if nodes is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"no such node, rack or domain: {name!r}")
        return history_document.encode(history_document.of({node: trail.of(node) for node in nodes}))
