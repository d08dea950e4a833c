"""The HTTP API: read-only, every answer from one published graph and naming its generation."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from importlib import resources
from typing import Final

import msgspec
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nvtopo.aggregator import metrics, openapi
from nvtopo.aggregator.access import Access
from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.watch import Watch
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.exporters import document
from nvtopo.model.derive import derive
from nvtopo.model.spec import folded
from nvtopo.sinks.metrics.series import text

_JSON: Final = "application/json"
#: Nothing from elsewhere, nothing inline, in no frame: names on the page come from other machines.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_PAGE: Final = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "ask.js": "text/javascript",
    "element.js": "text/javascript",
    "facts.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_RETRY_SECONDS: Final = "5"


Endpoint = Callable[[Request], Awaitable[Response]]


def application(aggregator: Aggregator, watch: Watch, access: Access | None = None) -> Starlette:
    """The ASGI application over a loop and its watchers. Without ``access`` it asks nobody who they are."""
    api = _Api(aggregator, watch)
    endpoints: dict[str, Endpoint] = {
        "/": api.front,
        "/page/{file}": api.page,
        "/v1/graph": api.graph,
        "/v1/graph/watch": api.watch,
        "/v1/nodes": api.nodes,
        "/v1/nodes/{name}": api.node,
        "/healthz": api.healthz,
        "/readyz": api.readyz,
        "/metrics": api.metrics,
        "/openapi.json": api.openapi,
    }
    return Starlette(
        routes=[
            Route(path, _asked(endpoint, openapi.PATHS[path].right, access), methods=["GET"])
            for path, endpoint in endpoints.items()
        ],
        middleware=[Middleware(_Guarded)],
        exception_handlers={HTTPException: _refused, Exception: _failed},
    )


class _Api:
    """One method for each path."""

    def __init__(self, aggregator: Aggregator, watch: Watch) -> None:
        self._aggregator = aggregator
        self._watch = watch
        self._encoded: tuple[ClusterGraph, bytes] | None = None
        self._description = msgspec.json.encode(openapi.description())

    async def front(self, _request: Request) -> Response:
        return Response(_file("index.html"), media_type="text/html")

    async def page(self, request: Request) -> Response:
        name = request.path_params["file"]
        if name not in _PAGE:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"no such file: {name!r}")
        return Response(_file(name), media_type=_PAGE[name], headers={"Cache-Control": "no-cache"})

    async def graph(self, request: Request) -> Response:
        graph = self._graph()
        return _unchanged(request, graph) or _json(self._document(graph), graph)

    async def nodes(self, request: Request) -> Response:
        graph = self._graph()
        if unchanged := _unchanged(request, graph):
            return unchanged
        entries = {name: document.entry(node) for name, node in graph.nodes.items()}
        return _json(msgspec.json.encode(openapi.NodesDocument(generation=graph.generation, nodes=entries)), graph)

    async def node(self, request: Request) -> Response:
        graph, name = self._graph(), request.path_params["name"]
        node = graph.nodes.get(name)
        if node is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"no such node: {name!r}")
        found = openapi.NodeDocument(
            generation=graph.generation,
            name=name,
            spec=None if node.topology is None else folded(node.topology),
            derived=None if node.topology is None else derive(node.topology),
            entry=document.entry(node),
        )
        return _unchanged(request, graph) or _json(msgspec.json.encode(found), graph)

    async def watch(self, request: Request) -> Response:
        if request.method == "HEAD":
            return Response(media_type=openapi.EVENTS)
        return _Stream(self._watch)

    async def healthz(self, _request: Request) -> Response:
        return _json(b'{"status":"ok"}')

    async def readyz(self, _request: Request) -> Response:
        self._graph()
        return _json(b'{"status":"ready"}')

    async def metrics(self, _request: Request) -> Response:
        reading = metrics.Reading(self._aggregator.graph, self._aggregator.figures, self._watch.clients)
        return Response(text(metrics.families(reading)), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def openapi(self, _request: Request) -> Response:
        return _json(self._description)

    def _graph(self) -> ClusterGraph:
        graph = self._aggregator.graph
        if graph is None:
            reason = "the NodeTopologies have not been listed yet"
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, reason, {"Retry-After": _RETRY_SECONDS})
        return graph

    def _document(self, graph: ClusterGraph) -> bytes:
        """The graph's JSON, made once for each graph that is asked for."""
        if self._encoded is None or self._encoded[0] is not graph:
            self._encoded = (graph, document.encode(document.of(graph)))
        return self._encoded[1]


class _Stream(StreamingResponse):
    """A client's stream of events, counted from before its first byte until after its last."""

    media_type = openapi.EVENTS

    def __init__(self, watch: Watch) -> None:
        super().__init__((), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        bell = self._watch.join()
        if bell is None:
            await _error(HTTPStatus.SERVICE_UNAVAILABLE, "too many watchers, or shutting down")(scope, receive, send)
            return
        self.body_iterator = self._watch.events(bell)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._watch.leave(bell)


class _Guarded:
    """Puts the security headers on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, guarded)


def _asked(endpoint: Endpoint, right: str, access: Access | None) -> Endpoint:
    """The endpoint, for those alone who have the right."""
    if access is None or not right:
        return endpoint

    async def asked(request: Request) -> Response:
        await access.check(request.headers.get("authorization"), right, request.path_params.get("name", ""))
        return await endpoint(request)

    return asked


def _file(name: str) -> bytes:
    return resources.files("nvtopo.exporters").joinpath("page", name).read_bytes()


def _tag(graph: ClusterGraph) -> str:
    return f'"{graph.generation}"'


def _unchanged(request: Request, graph: ClusterGraph) -> Response | None:
    """304 where the client has this generation."""
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if _tag(graph) not in known and "*" not in known:
        return None
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": _tag(graph), "Cache-Control": "no-cache"})


def _json(body: bytes, graph: ClusterGraph | None = None) -> Response:
    headers = {"Cache-Control": "no-store"} if graph is None else {"ETag": _tag(graph), "Cache-Control": "no-cache"}
    return Response(body, media_type=_JSON, headers=headers)


def _error(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    line = openapi.Error(error=" ".join(reason.split()))
    return Response(msgspec.json.encode(line), status_code=status, media_type=_JSON, headers=headers)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail, dict(error.headers or {}))


async def _failed(_request: Request, _error_raised: Exception) -> Response:
    """A bug: the answer says no more than that, the log has the rest."""
    return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "a bug in nvtopo: the aggregator's log has the trace")
