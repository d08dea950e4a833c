"""``GET /v1/jobs`` and ``GET /v1/jobs/NAMESPACE/NAME``: a right of their own, since they name pods."""

import asyncio
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nvtopo.aggregator import queries
from nvtopo.aggregator.access import Access
from nvtopo.aggregator.answers import made_json
from nvtopo.aggregator.entrance import admitted
from nvtopo.aggregator.heat_watch import HeatWatch
from nvtopo.aggregator.loop import Aggregator
from nvtopo.auth.rights import JobRight
from nvtopo.cluster.nodes import GraphNode
from nvtopo.exporters import job_document, job_heat
from nvtopo.exporters.job_document import Held
from nvtopo.placement.pods import GpuPod
from nvtopo.runtime.guard import Failed

T = TypeVar("T")
_RETRY_SECONDS: Final = "5"


class Jobs:
    """The routes over bound pods, who holds what, and the graph."""

    def __init__(  # noqa: PLR0913 - what it shows, and to whom
        self,
        pods: Callable[[], tuple[GpuPod, ...]] | None,
        held: Held,
        aggregator: Aggregator,
        access: Access | None,
        *,
        for_everybody: bool = False,
        heat: HeatWatch | None = None,
    ) -> None:
        """Without ``pods`` nobody follows them, and there is no job.

        ``for_everybody`` is for who asks without ``access``: on loopback alone, since who may see the graph need not
        see the names of pods. ``heat`` is who asks how hot their GPUs are; None if nobody does.
        """
        self._pods, self._held, self._aggregator, self._access = pods, held, aggregator, access
        self._for_everybody, self._heat = for_everybody, heat
        self.routes = [Route("/v1/jobs", self._list), Route("/v1/jobs/{namespace}/{name}", self._one)]

    async def _list(self, request: Request) -> Response:
        await self._allowed(request, JobRight("list"))
        pods = self._followed()
        return await made_json(request, lambda: msgspec.json.encode(job_document.jobs(pods())))

    async def _one(self, request: Request) -> Response:
        namespace, name = request.path_params["namespace"], request.path_params["name"]
        await self._allowed(request, JobRight("get", namespace, name))
        pods, graph = self._followed(), self._aggregator.graph
        if graph is None:
            reason = "the NodeTopologies have not been listed yet"
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, reason, {"Retry-After": _RETRY_SECONDS})
        made = partial(job_document.job, namespace, name, held=self._held, guarded=self._guarded)
        found = await asyncio.to_thread(lambda: made(pods=pods(), graph=graph))
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"no bound pod of a job {name!r} in the namespace {namespace!r}")
        if self._heat is not None:
            told = await self._heat.told(found.nodes)
            heated = partial(job_heat.heated, found, told, graph, self._guarded)
            return await made_json(request, lambda: msgspec.json.encode(heated()))
        return await made_json(request, lambda: msgspec.json.encode(found))

    def _guarded(self, node: GraphNode, work: Callable[[], T]) -> T | None:
        found = self._aggregator.guard.call(node, "job", work)
        return None if isinstance(found, Failed) else found

    def _followed(self) -> Callable[[], tuple[GpuPod, ...]]:
        if self._pods is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "no pod is followed: the aggregator runs without --gangs")
        return self._pods

    async def _allowed(self, request: Request, right: JobRight) -> None:
        if self._access is not None:
            await admitted(request, right, self._access)
        elif not self._for_everybody:
            reason = "jobs name pods: an aggregator that asks for no token shows them on loopback alone"
            raise HTTPException(HTTPStatus.FORBIDDEN, reason)
        queries.checked(request, ())
