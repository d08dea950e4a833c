"""``GangMover``: what the gangs' keeper needs to know where pods can't go: the Nodes, followed, and the graph."""

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from nvtopo.cluster.graph import ClusterGraph
from nvtopo.gangs import lost, node_states
from nvtopo.gangs.lost import Lost
from nvtopo.gangs.moves import GangMoves
from nvtopo.gangs.node_states import NodeState
from nvtopo.kube.following import fold
from nvtopo.kube.node_states import StateEvent
from nvtopo.placement.pods import GpuPod, Toleration
from nvtopo.placement.result import Rank

SETTLE_SECONDS: Final = 30.0
"""From the first question, until Nodes are not waited for any longer: there may be no right to read them."""
_MOST_KINDS: Final = 16
_GONE: Final = "there is no such Node"


class NodeSource(Protocol):
    """What is needed of ``kube.node_states.Nodes``."""

    def events(self, stop: threading.Event) -> Iterator[StateEvent]:
        """``Listed`` first, then what happens, until ``stop`` is set."""


class GangMover:
    """Usable from several threads at once; ``run`` follows. It is the ``Facts`` of its policy."""

    def __init__(self, nodes: NodeSource, graph: Callable[[], ClusterGraph | None], clock: Callable[[], float]) -> None:
        """``clock`` gives seconds since 1970."""
        self._source, self._graph, self._clock = nodes, graph, clock
        self._lock = threading.Lock()
        self._nodes: dict[str, NodeState] | None = None
        self._asked_at: float | None = None
        self._closed: dict[tuple[Toleration, ...], Mapping[str, str]] = {}
        """Tolerations → the nodes that are closed to who has them, as long as nothing changes."""
        self._of: ClusterGraph | None = None
        self.changed: Callable[[], None] | None = None
        """Who is told that something else is known of Nodes, in the thread that reads them."""
        self.policy = GangMoves(self)

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop`` is set."""
        for event in self._source.events(stop):
            if self._take(event) and self.changed is not None:
                self.changed()
            if stop.is_set():
                return

    @property
    def settled(self) -> bool:
        """Whether the Nodes are listed, or were not for too long."""
        with self._lock:
            now = self._clock()
            self._asked_at = now if self._asked_at is None else self._asked_at
            return self._nodes is not None or now - self._asked_at >= SETTLE_SECONDS

    def lost(self, pod: GpuPod, rank: Rank, *, degraded: bool) -> Lost | None:
        """Why a pod can't have a place; None if it can."""
        return self.node_lost(pod, rank.node) or lost.of_gpus(pod, rank, self._graph(), degraded=degraded)

    def node_lost(self, pod: GpuPod, node: str) -> Lost | None:
        """Why a pod can't be on a node; None if it can, or nobody knows."""
        with self._lock:
            return None if self._nodes is None else lost.of_node(pod, node, self._nodes)

    def closed(self, tolerations: tuple[Toleration, ...]) -> Mapping[str, str]:
        """The nodes where pods that tolerate so much can't go, and why; none as long as nobody knows."""
        graph = self._graph()
        with self._lock:
            if self._nodes is None:
                return {}
            if graph is not self._of or len(self._closed) > _MOST_KINDS:
                self._of = graph
                self._closed.clear()
            if tolerations not in self._closed:
                named = graph.nodes if graph is not None else {}
                gone = {name: _GONE for name in named if name not in self._nodes}
                self._closed[tolerations] = node_states.closed(self._nodes, tolerations) | gone
            return self._closed[tolerations]

    def _take(self, event: StateEvent) -> bool:
        """What happened; whether anything is otherwise by it: most of what comes is a kubelet's sign of life."""
        with self._lock:
            first, self._nodes = self._nodes is None, self._nodes or {}
            changed = fold(self._nodes, event) or first
            if changed:
                self._closed.clear()
            return changed
