"""Every node's ``status``, written by the one replica that leads: its NVLink domain, and whether it is ready.

Work is proportional to change: a node whose conclusions are those last written is not touched.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from nvtopo.aggregator.loop import Aggregator
from nvtopo.cluster.nodes import GraphNode
from nvtopo.errors import ApiError, NotFound
from nvtopo.kube.v1alpha1 import Condition, Status
from nvtopo.model.derive import derive
from nvtopo.model.features import ready

logger = logging.getLogger(__name__)

#: How often to look whether this replica leads now, and to try again what failed.
_PAUSE_SECONDS: Final = 2.0
_MOST_MESSAGE_CHARACTERS: Final = 512


class Writes(Protocol):
    """The part of a ``TopologyStore`` that is needed here."""

    def set_status(self, name: str, status: Status) -> None:
        """Write what was concluded."""


def status_of(node: GraphNode) -> Status:
    """What the graph concludes of a node.

    Without a transition time: a new leader then concludes the very same, and the API server stores nothing.
    """
    topology = node.topology
    return Status(
        gpus=None if topology is None else len(topology.gpus),
        nics=None if topology is None else len(topology.nics),
        domain=node.tiers.get("nvlinkDomain"),
        conditions=(_readiness(node),),
    )


def _readiness(node: GraphNode) -> Condition:
    if node.topology is None or node.topology.nvlink_hidden:
        return Condition(type="Ready", status="Unknown", reason="NotKnown", message=_said(node))
    if not node.topology.gpus and not node.problems:
        return Condition(type="Ready", status="False", reason="NoGpu", message="this node has no GPU")
    verdict = ready(node.topology, derive(node.topology))
    if verdict is None:
        return Condition(type="Ready", status="Unknown", reason="LinksTraining", message=_said(node))
    if verdict and not node.findings:
        return Condition(type="Ready", status="True", reason="AllWell")
    return Condition(type="Ready", status="False", reason="Problems", message=_said(node))


def _said(node: GraphNode) -> str:
    said = "; ".join(f"{problem.subject}: {problem.reason}" for problem in node.problems)
    return said[:_MOST_MESSAGE_CHARACTERS]


class StatusWriter:
    """Keeps every node's status true to the latest graph while this replica leads."""

    def __init__(self, aggregator: Aggregator, store: Writes, leading: Callable[[], bool]) -> None:
        self._aggregator = aggregator
        self._store = store
        self._leading = leading
        self._written: dict[str, tuple[GraphNode, Status]] = {}

    def run(self, stop: threading.Event) -> None:
        """Write on every new graph, and retry now and then, until ``stop`` is set."""
        changed = threading.Event()
        end_listening = self._aggregator.listen(changed.set)
        try:
            while not stop.is_set():
                changed.clear()
                graph = self._aggregator.graph
                if graph is not None and self._leading():
                    self.write(graph.nodes)
                elif not self._leading():
                    self._written.clear()  # another replica writes now: what stands there is not ours to know
                changed.wait(_PAUSE_SECONDS)
        finally:
            end_listening()

    def write(self, nodes: Mapping[str, GraphNode]) -> None:
        """Write the status of every node that changed since it was last written."""
        self._written = {name: known for name, known in self._written.items() if name in nodes}
        for name, node in nodes.items():
            known = self._written.get(name)
            if known is None or known[0] is not node:
                self._write(node, known[1] if known else None)

    def _write(self, node: GraphNode, before: Status | None) -> None:
        status = status_of(node)
        try:
            if status != before:
                self._store.set_status(node.name, status)
        except NotFound:
            return  # gone since the graph was built
        except ApiError as error:
            logger.warning("cannot write the status", extra={"node": node.name, "reason": str(error)})
            return
        self._written[node.name] = (node, status)
