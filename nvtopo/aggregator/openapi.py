"""The OpenAPI description of the HTTP API: a table of operations, and the schemas of the documents themselves."""

from typing import Any, Final, NamedTuple

import msgspec

from nvtopo import __version__
from nvtopo.exporters.document import GraphDocument, NodeEntry
from nvtopo.model.derive import Derived
from nvtopo.model.record import Record
from nvtopo.model.spec import Spec

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"


class Error(Record, frozen=True, kw_only=True, omit_defaults=False):
    """What went wrong, in one line."""

    error: str


class NodesDocument(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Every node of the graph."""

    generation: int
    nodes: dict[str, NodeEntry]


class NodeDocument(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One node: its facts, what follows from them, and its place in the graph."""

    generation: int
    name: str
    spec: Spec | None
    """Null where the node's object cannot be read; the entry's problems say why."""
    derived: Derived | None
    entry: NodeEntry


class Operation(NamedTuple):
    """One ``GET``."""

    summary: str
    content: str = JSON
    answer: type | None = None
    refusals: tuple[int, ...] = ()
    tagged: bool = False
    """Whether the answer's ETag is the generation of the graph."""
    right: str = ""
    """What a caller must be allowed to do to NodeTopologies, where callers are asked; empty: anybody may read it."""


PATHS: Final = {
    "/": Operation("The rack graph as a page.", "text/html"),
    "/page/{file}": Operation("What the page consists of.", "text/css", refusals=(404,)),
    "/v1/graph": Operation("The cluster's graph.", answer=GraphDocument, refusals=(503,), tagged=True, right="list"),
    "/v1/graph/watch": Operation(
        "The generation, at once and on every change.", EVENTS, refusals=(503,), right="watch"
    ),
    "/v1/nodes": Operation("Every node.", answer=NodesDocument, refusals=(503,), tagged=True, right="list"),
    "/v1/nodes/{name}": Operation("One node.", answer=NodeDocument, refusals=(404, 503), tagged=True, right="get"),
    "/healthz": Operation("Whether the process serves."),
    "/readyz": Operation("Whether the store has been listed.", refusals=(503,)),
    "/metrics": Operation("Prometheus metrics.", "text/plain"),
    "/openapi.json": Operation("This description."),
}

_REASONS: Final = {
    401: "No bearer token, or none that the API server knows.",
    403: "The token's holder may not do that to NodeTopologies.",
    404: "No such thing.",
    503: "Not listed yet, too many watchers, or the API server does not review the token.",
}
#: Where it is asked for. Loopback and what people opened on purpose answer without.
_SECURITY: Final[list[dict[str, list[str]]]] = [{"bearer": []}, {}]


def description() -> dict[str, Any]:
    """The OpenAPI document."""
    answers = [operation.answer for operation in PATHS.values() if operation.answer is not None]
    types = [*answers, Error]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_type = dict(zip(types, schemas, strict=True))
    return {
        "openapi": "3.1.0",
        "info": {"title": "nvtopo aggregator", "version": __version__},
        "paths": {path: {"get": _operation(path, operation, by_type)} for path, operation in PATHS.items()},
        "components": {"schemas": components, "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(path: str, operation: Operation, schemas: dict[type, dict[str, Any]]) -> dict[str, Any]:
    schema = {} if operation.answer is None else {"schema": schemas[operation.answer]}
    responses: dict[str, Any] = {"200": {"description": operation.summary, "content": {operation.content: schema}}}
    refusals = (401, 403, *operation.refusals) if operation.right else operation.refusals
    for status in refusals:
        responses[str(status)] = {"description": _REASONS[status], "content": {JSON: {"schema": schemas[Error]}}}
    if operation.tagged:
        responses["200"]["headers"] = {"ETag": {"schema": {"type": "string"}}}
        responses["304"] = {"description": "The graph is still of the generation in If-None-Match."}
    described = {"summary": operation.summary, "parameters": _parameters(path), "responses": responses}
    return described | {"security": _SECURITY} if operation.right else described


def _parameters(path: str) -> list[dict[str, Any]]:
    names = [part.strip("{}") for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
