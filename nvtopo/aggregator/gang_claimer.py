"""``GangClaimer``: what the gangs' keeper needs to give out exact GPUs: the barrier, the claims, and their requests."""

import logging
from collections.abc import Callable
from typing import Final

from nvtopo.aggregator.device_watch import DeviceWatch
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.errors import ApiError, ParseError, ReadError
from nvtopo.gangs.claims import GangClaims
from nvtopo.gangs.holders import HolderPods
from nvtopo.gangs.steps import ClaimStep, DropHolder, MakeClaim, MakeHolder
from nvtopo.kube import claim_changes, gang_barrier, holder_changes
from nvtopo.kube.claim_changes import ClaimChange
from nvtopo.kube.client import Client
from nvtopo.kube.holder_changes import HolderChange
from nvtopo.kube.timestamps import rfc3339
from nvtopo.placement.result import Assignment, Rank

logger = logging.getLogger(__name__)

_NOT_YET: Final = "the device that holds a gang until it is whole is not published yet"


class GangClaimer:
    """Used by the keeper's thread; ``policy`` is the keeper's."""

    def __init__(
        self,
        devices: DeviceWatch,
        client: Client,
        graph: Callable[[], ClusterGraph | None],
        clock: Callable[[], float],
        *,
        image: str = "",
    ) -> None:
        """``clock`` gives seconds since 1970. ``image`` is that of holders, where no barrier holds; none without it."""
        self.devices = devices
        self._image = image
        self._client, self._graph, self._clock = client, graph, clock
        self.held: bool | None = None
        """Whether a barrier holds gangs; None as long as that is not known."""
        self.policy = GangClaims(devices.holder, self._is_held, HolderPods(on=bool(image)))
        self.policy.unready = _NOT_YET

    def raise_barrier(self) -> None:
        """Have the gangs' device published; as long as that fails no claim is made."""
        try:
            held = gang_barrier.raise_barrier(self._client)
        except (ApiError, ParseError) as error:
            if self.policy.unready in {"", _NOT_YET}:
                logger.warning("cannot publish the gangs' device, trying on", extra={"reason": str(error)})
            self.policy.unready = f"{_NOT_YET}: {error}"
            return
        if held != self.held and not held:
            who = "holder pods hold their claims" if self._image else "no barrier holds gangs"
            said = f"the API server does not know binding conditions: {who} until they are whole"
            logger.warning("%s", said, extra={"gates": "DRADeviceBindingConditions, DRAConsumableCapacity"})
        self.held, self.policy.unready = held, ""

    def change(self, step: ClaimStep) -> ClaimChange:
        """The request of a step.

        Raises:
            ReadError: the UUIDs of the GPUs are not known.
        """
        uuids = self._uuids(step.rank) if isinstance(step, MakeClaim) and step.rank is not None else ()
        return claim_changes.change(step, uuids, rfc3339(self._clock()))

    def held_by(self, step: MakeHolder | DropHolder) -> HolderChange:
        """The request of a step about a holder."""
        return holder_changes.change(step, self._image)

    def _is_held(self, answer: Assignment) -> bool:
        return bool(self.held) and self.devices.can_prepare(answer)

    def _uuids(self, rank: Rank) -> tuple[str, ...]:
        graph = self._graph()
        node = graph.nodes.get(rank.node) if graph is not None else None
        known = {gpu.index: gpu.uuid for gpu in node.topology.gpus} if node is not None and node.topology else {}
        missing = [gpu for gpu in rank.gpus if gpu not in known]
        if missing:
            raise ReadError(f"the UUID of GPU {missing[0]} of {rank.node} is not known")
        return tuple(known[gpu] for gpu in rank.gpus)
