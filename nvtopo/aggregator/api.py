"""The HTTP API: read-only, every answer from one published graph and naming its generation."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from importlib import resources
from itertools import chain
from typing import Final

import msgspec
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nvtopo.aggregator import bodies, history_api, metrics, openapi, queries
from nvtopo.aggregator.access import Access
from nvtopo.aggregator.answers import as_json, either, error_line, tagged, unchanged
from nvtopo.aggregator.documents import Documents, Make, etag, made
from nvtopo.aggregator.entrance import Endpoint, before
from nvtopo.aggregator.headers import Guarded
from nvtopo.aggregator.history_api import HistoryApi
from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.node_documents import NodeDocuments
from nvtopo.aggregator.site import Site
from nvtopo.aggregator.stream import Stream
from nvtopo.aggregator.watch import Subscribers
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.sinks.metrics.series import Part, text, together

_PAGE: Final = {
    "page.css": "text/css",
    "ask.js": "text/javascript",
    "element.js": "text/javascript",
    "events.js": "text/javascript",
    "fabric.js": "text/javascript",
    "fabric_view.js": "text/javascript",
    "facts.js": "text/javascript",
    "find.js": "text/javascript",
    "follow.js": "text/javascript",
    "graph.js": "text/javascript",
    "history.js": "text/javascript",
    "jobs.js": "text/javascript",
    "matrix.js": "text/javascript",
    "page.js": "text/javascript",
    "place.js": "text/javascript",
    "racks.js": "text/javascript",
    "sorted.js": "text/javascript",
    "tray.js": "text/javascript",
    "walk.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_RETRY_SECONDS: Final = "5"
_NOWHERE: Final = Site()


def application(  # noqa: PLR0913, PLR0917 - what it serves, each with a default
    aggregator: Aggregator,
    watch: Subscribers,
    access: Access | None = None,
    parts: Sequence[Part] = (),
    alive: Callable[[], bool] = lambda: True,
    more: Sequence[Route] = (),
    site: Site = _NOWHERE,
) -> Starlette:
    """The ASGI application over a loop and its watchers. Without ``access`` everybody may read.

    ``parts`` of the metrics page come beside those of the graph; ``alive`` answers ``/healthz``; ``more`` are routes
    that change something; ``site`` is the cluster.
    """
    api = _Api(aggregator, watch, (*parts, site.families), alive, site)
    endpoints: dict[str, Endpoint] = {
        "/": api.front,
        "/page/{file}": api.page,
        "/v1/graph": api.graph,
        "/v1/graph/watch": api.watch,
        "/v1/nodes": api.nodes,
        "/v1/nodes/{name}": api.node,
        "/v1/nodes/{name}/pairs": api.pairs,
        "/v1/domains": api.domains,
        "/v1/domains/{id}": api.domain,
        "/v1/drift": api.drift,
        history_api.PATH: HistoryApi(aggregator).history,
        "/healthz": api.healthz,
        "/readyz": api.readyz,
        "/metrics": api.metrics,
        "/openapi.json": api.openapi,
    }
    return Starlette(
        routes=[
            Route(path.replace("{id}", "{id:path}"), before(endpoint, openapi.PATHS[path], access), methods=["GET"])
            for path, endpoint in endpoints.items()
        ]
        + [*more],
        middleware=[Middleware(Guarded)],
        exception_handlers={HTTPException: _refused, Exception: _failed},
    )


class _Api:
    """One method for each path."""

    def __init__(
        self, aggregator: Aggregator, watch: Subscribers, parts: Sequence[Part], alive: Callable[[], bool], site: Site
    ) -> None:
        self._alive = alive
        self._site = site
        self._aggregator = aggregator
        self._watch = watch
        self._parts = parts
        self._documents = Documents(
            lambda: aggregator.graph,
            {**bodies.makers(site.name), "metrics": _graph_metrics},
        )
        self._nodes = NodeDocuments(aggregator.guard)
        self._description = msgspec.json.encode(openapi.description())

    async def front(self, _request: Request) -> Response:
        return Response(_file("index.html"), media_type="text/html")

    async def page(self, request: Request) -> Response:
        name = request.path_params["file"]
        if name not in _PAGE:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"no such file: {name!r}")
        return Response(_file(name), media_type=_PAGE[name], headers={"Cache-Control": "no-cache"})

    async def graph(self, request: Request) -> Response:
        selection = queries.selection(request)
        if selection.whole:
            return await self._document(request, bodies.GRAPH)
        graph = self._graph()
        if selection.domain is not None:
            _known(graph.domains, selection.domain, "domain")
        if selection.node is not None:
            _known(graph.nodes, selection.node, "node")
        return await self._part(request, graph, partial(bodies.selected, selection, self._site.name))

    async def domains(self, request: Request) -> Response:
        return await self._document(request, bodies.DOMAINS)

    async def domain(self, request: Request) -> Response:
        graph, identifier = self._graph(), request.path_params["id"]
        _known(graph.domains, identifier, "domain")
        return await self._part(request, graph, partial(bodies.domain, identifier))

    async def drift(self, request: Request) -> Response:
        return await self._document(request, bodies.DRIFT)

    async def nodes(self, request: Request) -> Response:
        return await self._document(request, bodies.NODES)

    async def node(self, request: Request) -> Response:
        return await self._of_node(request, self._nodes.get)

    async def pairs(self, request: Request) -> Response:
        return await self._of_node(request, self._nodes.pairs)

    async def watch(self, request: Request) -> Response:
        if request.method == "HEAD":
            return Response(media_type=openapi.EVENTS)
        return Stream(self._watch, partial(self._documents.get, bodies.GRAPH))

    async def healthz(self, _request: Request) -> Response:
        if not self._alive():
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE, "a thread of the aggregator has ended: its log says why"
            )
        return as_json(b'{"status":"ok"}')

    async def readyz(self, _request: Request) -> Response:
        self._graph()
        return as_json(b'{"status":"ready"}')

    async def metrics(self, request: Request) -> Response:
        """What follows from the graph is one of its documents; the figures of this moment stand after it."""
        graph = self._aggregator.graph
        figures = metrics.figures(self._aggregator.figures, self._watch, self._aggregator.oldest_seconds)
        now = text(chain(figures, together(self._parts))).encode()
        latest = made("metrics", 0, b"") if graph is None else await self._documents.get("metrics", graph)
        return either(request, latest, CONTENT_TYPE_LATEST, now)

    async def openapi(self, _request: Request) -> Response:
        return as_json(self._description)

    def _graph(self) -> ClusterGraph:
        graph = self._aggregator.graph
        if graph is None:
            reason = "the NodeTopologies have not been listed yet"
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, reason, {"Retry-After": _RETRY_SECONDS})
        return graph

    async def _of_node(self, request: Request, made: Callable[[str, ClusterGraph], Awaitable[bytes]]) -> Response:
        graph, name = self._graph(), request.path_params["name"]
        _known(graph.nodes, name, "node")
        tag = etag(graph.generation)
        return unchanged(request, tag) or tagged(request, await made(name, graph), tag)

    async def _document(self, request: Request, name: str) -> Response:
        graph = self._graph()
        if same := unchanged(request, etag(graph.generation)):
            return same
        latest = await self._documents.get(name, graph)
        headers = {"ETag": latest.etag, "Cache-Control": "no-cache", **self._site.headers}
        return either(request, latest, openapi.JSON, headers=headers)

    async def _part(self, request: Request, graph: ClusterGraph, make: Make) -> Response:
        """Of which there are as many as domains and nodes: none is kept."""
        tag = etag(graph.generation)
        return unchanged(request, tag) or tagged(request, await asyncio.to_thread(make, graph), tag)


def _file(name: str) -> bytes:
    return resources.files("nvtopo.exporters").joinpath("page", name).read_bytes()


def _known(found: Mapping[str, object], name: str, what: str) -> None:
    if name not in found:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"no such {what}: {name!r}")


def _graph_metrics(graph: ClusterGraph) -> bytes:
    return text(metrics.of_graph(graph)).encode()


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_line(error.status_code, error.detail, dict(error.headers or {}))


async def _failed(_request: Request, _error_raised: Exception) -> Response:
    """A bug: the answer says no more than that, the log has the rest."""
    return error_line(HTTPStatus.INTERNAL_SERVER_ERROR, "a bug in nvtopo: the aggregator's log has the trace")
