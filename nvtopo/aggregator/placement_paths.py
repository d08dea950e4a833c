"""The part of the OpenAPI description that places: ``placements.Placements`` serves it."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from nvtopo.aggregator import served
from nvtopo.auth.rights import PlacementRight
from nvtopo.placement.document import PlacementRequest
from nvtopo.placement.result import Assignment, NoFit

JSON: Final = "application/json"
DRY_RUN: Final = "dryRun"


class Call(NamedTuple):
    """One operation that changes the ledger of reservations."""

    path: str
    method: str
    summary: str
    right: PlacementRight
    answers: Mapping[int, tuple[str, tuple[type, ...]]]
    """Status → what it means, and the documents that it may have."""
    body: type | None = None
    query: str = ""
    """The name of a parameter that is true or false."""


_ALWAYS: Final[Mapping[int, tuple[str, tuple[type, ...]]]] = {
    400: ("The request is none, or makes no sense.", (served.Error,)),
    401: ("No bearer token, or none that the API server knows.", (served.Error,)),
    403: ("The token's holder does not have the right, which is named.", (served.Error,)),
    429: ("Too many tokens to review from one address.", (served.Error,)),
    503: ("Not listed yet, or the ledger can't be read or written.", (served.Error,)),
}
PATHS: Final = (
    Call(
        "/v1/placements",
        "post",
        "Reserve the best GPUs for a gang, under the name of the request.",
        PlacementRight("create"),
        {
            200: ("What the same request was answered before; with dryRun, what would be.", (Assignment, NoFit)),
            201: ("The GPUs are reserved.", (Assignment,)),
            409: ("The gang fits nowhere, or another request has the name.", (NoFit, served.Error)),
            413: ("The request is longer than 64 KiB.", (served.Error,)),
            507: ("The ledger is full.", (served.Error,)),
        },
        PlacementRequest,
        DRY_RUN,
    ),
    Call(
        "/v1/placements/{id}/confirm",
        "post",
        "The reservation no longer expires.",
        PlacementRight("update"),
        {204: ("It does not.", ()), 404: ("It is not there, or has expired.", (served.Error,))},
    ),
    Call(
        "/v1/placements/{id}",
        "delete",
        "Its GPUs are free, also if it was not there.",
        PlacementRight("delete"),
        {204: ("They are.", ())},
    ),
)
TYPES: Final = (PlacementRequest, Assignment, NoFit)


def described(call: Call, schemas: Mapping[type, dict[str, Any]]) -> dict[str, Any]:
    """The operation, without who may call it."""
    answers = sorted({**_ALWAYS, **call.answers}.items())
    found: dict[str, Any] = {
        "summary": call.summary,
        "parameters": _parameters(call),
        "responses": {str(status): _response(says, types, schemas) for status, (says, types) in answers},
    }
    if call.body is not None:
        schema = {"schema": schemas[call.body]}
        found["requestBody"] = {"required": True, "content": {JSON: schema, "application/yaml": schema}}
    return found


def _response(says: str, types: tuple[type, ...], schemas: Mapping[type, dict[str, Any]]) -> dict[str, Any]:
    if not types:
        return {"description": says}
    found = [schemas[one] for one in types]
    return {"description": says, "content": {JSON: {"schema": found[0] if len(found) == 1 else {"oneOf": found}}}}


def _parameters(call: Call) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if "{id}" in call.path:
        found.append({"name": "id", "in": "path", "required": True, "schema": {"type": "string"}})
    if call.query:
        found.append({"name": call.query, "in": "query", "schema": {"type": "boolean"}})
    return found
