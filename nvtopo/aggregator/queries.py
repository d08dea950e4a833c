"""The query string of a request, as the OpenAPI description has it; anything else is refused."""

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request

from nvtopo.aggregator.openapi import Query
from nvtopo.exporters.selection import Selection


def checked(request: Request, queries: tuple[Query, ...]) -> None:
    """Return if each parameter is one of these, is there once, and has a value that it may have.

    Raises:
        HTTPException: 400 with what was expected.
    """
    known, seen = {query.name: query for query in queries}, set[str]()
    for name, value in request.query_params.multi_items():
        if name not in known:
            expected = ", ".join(known) or "no parameter"
            raise HTTPException(HTTPStatus.BAD_REQUEST, f"query: expected {expected}, got {name!r}")
        if name in seen:
            raise HTTPException(HTTPStatus.BAD_REQUEST, f"query: expected {name} once, got it twice")
        allowed = known[name].allowed
        if allowed and value not in allowed:
            expected = ", ".join(allowed)
            raise HTTPException(
                HTTPStatus.BAD_REQUEST, f"query: expected {name} to be one of {expected}, got {value!r}"
            )
        seen.add(name)


def selection(request: Request) -> Selection:
    """The part of the graph that is asked for."""
    asked = request.query_params
    return Selection(domain=asked.get("domain"), tier=asked.get("tier"), node=asked.get("node"))
