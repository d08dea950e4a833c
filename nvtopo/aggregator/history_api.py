"""``GET /v1/history``: what changed, on one node, in one rack or domain, or anywhere."""

import asyncio
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from nvtopo.aggregator import openapi
from nvtopo.aggregator.answers import either
from nvtopo.aggregator.documents import Document, made
from nvtopo.aggregator.loop import Aggregator
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.exporters import history_document

PATH: Final = "/v1/history"
_RETRY_SECONDS: Final = "5"
#: Of 10,000 entries each 3 MB.
_MOST_MADE: Final = 8
#: Generation of the graph, version of the trail.
_Of = tuple[int, int]


class HistoryApi:
    """Its one endpoint. A document is made once for each change, whoever and however many ask for it.

    That of 5,000 nodes takes a quarter of a second. It lives in the server's event loop.
    """

    def __init__(self, aggregator: Aggregator) -> None:
        self._aggregator = aggregator
        #: Name → what it was made of, and the document; those asked for last.
        self._made: dict[str | None, tuple[_Of, Document]] = {}
        self._making: dict[tuple[str | None, _Of], asyncio.Task[Document]] = {}

    async def history(self, request: Request) -> Response:
        """``?node=NAME`` or ``?rack=NAME``; without either, of all nodes."""
        name = request.query_params.get("node") or request.query_params.get("rack")
        graph, version = self._aggregator.graph, self._aggregator.trail.version
        if graph is None:
            reason = "the NodeTopologies have not been listed yet"
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, reason, {"Retry-After": _RETRY_SECONDS})
        of = (graph.generation, version)
        known = self._made.get(name)
        if known is not None and known[0] == of:
            return either(request, known[1], openapi.JSON)
        making = self._making.get((name, of))
        if making is None:
            making = self._making[name, of] = asyncio.create_task(self._make(name, graph, of))
        document = await asyncio.shield(making)  # goes on for the others if this reader leaves
        return either(request, document, openapi.JSON)

    async def _make(self, name: str | None, graph: ClusterGraph, of: _Of) -> Document:
        try:
            document = await asyncio.to_thread(lambda: made(PATH, graph.generation, self._document(name, graph)))
        finally:
            del self._making[name, of]
        self._made.pop(name, None)
        self._made[name] = (of, document)
        while len(self._made) > _MOST_MADE:
            del self._made[next(iter(self._made))]
        return document

    def _document(self, name: str | None, graph: ClusterGraph) -> bytes:
        trail = self._aggregator.trail
        if name is None:
            return history_document.encode(history_document.of(trail.of_all()))
        nodes = history_document.members(graph, name) or ((name,) if trail.of(name) else None)
        if nodes is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"no such node, rack or domain: {name!r}")
        return history_document.encode(history_document.of({node: trail.of(node) for node in nodes}))
