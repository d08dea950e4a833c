"""The OpenAPI description of the HTTP API: a table of operations, and the schemas of the documents themselves."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from nvtopo import __version__
from nvtopo.aggregator import placement_paths, served
from nvtopo.auth.rights import METRICS, JobRight, Right, TopologyRight
from nvtopo.cluster.claims import TIERS
from nvtopo.exporters.change_records import GraphChange
from nvtopo.exporters.document import GraphDocument
from nvtopo.exporters.history_document import HistoryDocument
from nvtopo.exporters.job_document import JobDocument, JobsDocument

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"


class Query(NamedTuple):
    """A parameter of the query string."""

    name: str
    says: str
    allowed: tuple[str, ...] = ()
    """The values that it may have; any if there are none."""


class Operation(NamedTuple):
    """One ``GET``."""

    summary: str
    content: str = JSON
    answer: type | None = None
    refusals: tuple[int, ...] = ()
    tagged: bool = False
    """Whether the answer's ETag is the generation of the graph."""
    right: Right | None = None
    """What a caller must be allowed to do; for a path with a name, to the node of that name. None: anybody may read."""
    query: tuple[Query, ...] = ()
    more: tuple[type, ...] = ()
    """What else it speaks of: described among the schemas."""


def _listing(summary: str, answer: type, *refusals: int) -> Operation:
    return Operation(summary, answer=answer, refusals=(400, *refusals, 503), tagged=True, right=TopologyRight("list"))


def _node(summary: str, answer: type) -> Operation:
    return Operation(summary, answer=answer, refusals=(400, 404, 503), tagged=True, right=TopologyRight("get"))


PATHS: Final[Mapping[str, Operation]] = {
    "/": Operation("The rack graph as a page.", "text/html"),
    "/page/{file}": Operation("What the page consists of.", "text/css", refusals=(404,)),
    "/v1/graph": Operation(
        "The cluster's graph, or a part of it.",
        answer=GraphDocument,
        refusals=(400, 404, 503),
        tagged=True,
        right=TopologyRight("list"),
        query=(
            Query("domain", "Only the nodes of this domain, by its ID, and the domains that lie in it."),
            Query("tier", "Only the domains of this tier, and the nodes that are in one.", TIERS),
            Query("node", "Only this node, and the domains that it is in."),
        ),
    ),
    "/v1/graph/watch": Operation(
        "What changes, as server-sent events. `reset` has a GraphDocument, for who is new or was away too long. "
        "`change` has a GraphChange, to be applied to generation `previous`; `dropped` says why it is the last event. "
        "Last-Event-ID goes on after the event of that ID.",
        EVENTS,
        refusals=(400, 503),
        right=TopologyRight("watch"),
        more=(GraphChange,),
    ),
    "/v1/nodes": _listing("Every node.", served.NodesDocument),
    "/v1/nodes/{name}": _node("One node.", served.NodeDocument),
    "/v1/nodes/{name}/pairs": _node("The GPU pairs of one node, and what they talk over.", served.PairsDocument),
    "/v1/domains": _listing("Every domain of every tier.", served.DomainsDocument),
    "/v1/domains/{id}": _listing("One domain, by its ID, and what lies in it.", served.DomainDocument, 404),
    "/v1/drift": _listing("Everything that does not fit.", served.DriftDocument),
    "/v1/history": Operation(
        "What changed, oldest first: of one node, of the nodes of a rack or domain, or of all.",
        answer=HistoryDocument,
        refusals=(400, 404, 503),
        right=TopologyRight("list"),
        query=(
            Query("node", "A node's name, or that of a rack or other domain."),
            Query("rack", "The ID or short name of a rack or other domain, or a node's name."),
        ),
    ),
    "/healthz": Operation("Whether the process serves, and all of its threads run."),
    "/readyz": Operation("Whether the store has been listed.", refusals=(503,)),
    "/metrics": Operation("Prometheus metrics.", "text/plain", right=METRICS),
    "/openapi.json": Operation("This description."),
}

MORE: Final[Mapping[str, Operation]] = {
    "/v1/jobs": Operation(
        "Every gang and job with bound pods.", answer=JobsDocument, refusals=(400, 404), right=JobRight("list")
    ),
    "/v1/jobs/{namespace}/{name}": Operation(
        "One gang or job: its pods, nodes, GPUs and NICs, where they meet, and how hot the GPUs are.",
        answer=JobDocument,
        refusals=(400, 404, 503),
        right=JobRight("get"),
    ),
}
"""Paths that ``jobs.Jobs`` serves."""

_REASONS: Final = {
    400: "A parameter of the query that is not known, that is there twice, or whose value is not expected.",
    401: "No bearer token, or none that the API server knows.",
    403: "The token's holder does not have the right, which is named.",
    429: "Too many tokens to review from one address.",
    404: "No such thing.",
    503: "Not listed yet, too many watchers, or the API server does not review the token.",
}
#: Where it is asked for. Loopback and what people opened on purpose answer without.
_SECURITY: Final[list[dict[str, list[str]]]] = [{"bearer": []}, {}]


def description() -> dict[str, Any]:
    """The OpenAPI document."""
    answers = [operation.answer for operation in (*PATHS.values(), *MORE.values()) if operation.answer is not None]
    more = [one for operation in PATHS.values() for one in operation.more]
    types = [*answers, *more, *placement_paths.TYPES, served.Error]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_type = dict(zip(types, schemas, strict=True))
    paths = {path: {"get": _operation(path, operation, by_type)} for path, operation in {**PATHS, **MORE}.items()}
    for call in placement_paths.PATHS:
        described = placement_paths.described(call, by_type)
        paths.setdefault(call.path, {})[call.method] = described | {"security": _SECURITY}
    return {
        "openapi": "3.1.0",
        "info": {"title": "nvtopo aggregator", "version": __version__},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(path: str, operation: Operation, schemas: dict[type, dict[str, Any]]) -> dict[str, Any]:
    schema = {} if operation.answer is None else {"schema": schemas[operation.answer]}
    responses: dict[str, Any] = {"200": {"description": operation.summary, "content": {operation.content: schema}}}
    refusals = (401, 403, 429, *operation.refusals) if operation.right else operation.refusals
    for status in refusals:
        responses[str(status)] = {"description": _REASONS[status], "content": {JSON: {"schema": schemas[served.Error]}}}
    if operation.tagged:
        says = "The graph's generation; weak if the answer is compressed."
        responses["200"]["headers"] = {"ETag": {"description": says, "schema": {"type": "string"}}}
        responses["304"] = {"description": "The graph is still of the generation in If-None-Match."}
    described = {"summary": operation.summary, "parameters": _parameters(path, operation.query), "responses": responses}
    return described | {"security": _SECURITY} if operation.right else described


def _parameters(path: str, query: tuple[Query, ...]) -> list[dict[str, Any]]:
    names = [part.strip("{}") for part in path.split("/") if part.startswith("{")]
    in_path = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    return in_path + [
        {"name": name, "in": "query", "description": says, "schema": {"type": "string"} | _enumerated(allowed)}
        for name, says, allowed in query
    ]


def _enumerated(allowed: tuple[str, ...]) -> dict[str, Any]:
    return {"enum": [*allowed]} if allowed else {}
