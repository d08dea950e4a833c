"""What stands before every endpoint: the right that a path takes, and the parameters that it knows."""

from collections.abc import Awaitable, Callable
from functools import wraps

from starlette.requests import Request
from starlette.responses import Response

from nvtopo.aggregator import queries
from nvtopo.aggregator.access import Access
from nvtopo.aggregator.guest import visitor
from nvtopo.aggregator.openapi import Operation
from nvtopo.auth.rights import Right, TopologyRight

Endpoint = Callable[[Request], Awaitable[Response]]


def before(endpoint: Endpoint, operation: Operation, access: Access | None) -> Endpoint:
    """The endpoint, for those alone who have the right. Without ``access`` everybody may read."""

    @wraps(endpoint)
    async def asked(request: Request) -> Response:
        await _allowed(request, operation, access)
        if operation.right is not None:
            queries.checked(request, operation.query)
        return await endpoint(request)

    return asked


async def _allowed(request: Request, operation: Operation, access: Access | None) -> None:
    wanted, name = operation.right, request.path_params.get("name", "")
    if access is None or wanted is None:
        return
    if isinstance(wanted, TopologyRight):
        wanted = TopologyRight(wanted.verb, name)
    await admitted(request, wanted, access)


async def admitted(request: Request, right: Right, access: Access) -> None:
    """Who has the right is no stranger any more.

    Raises:
        HTTPException: who asks does not have it, or that can't be found out.
    """
    address = request.client.host if request.client else ""
    await access.check(request.headers.get("authorization", ""), right, address)
    if guest := visitor(request.scope):
        guest.vouch()
