"""Whether a pod that comes for one that is gone can have that one's place.

What is not known keeps the place: only what is known to be in the way costs it. A node that is not ready, or of whose
GPUs something bad is said, may be well again in a moment: such a place is kept for a while.
"""

from typing import Final, NamedTuple

from nvtopo.cluster.graph import ClusterGraph
from nvtopo.cluster.nodes import GraphNode
from nvtopo.gangs import node_states
from nvtopo.gangs.node_states import NodeStates
from nvtopo.model.conclusions.health_kinds import ILL
from nvtopo.placement.hosts import is_usable
from nvtopo.placement.pods import GpuPod
from nvtopo.placement.result import Rank

GRACE_SECONDS: Final = 60.0
"""How long a place is kept that may come back. A kubelet, an agent or a network that is restarted is back by then, and
the job is spared a farther node; the others of the gang wait meanwhile, and their collectives give up after minutes."""
_AT_ONCE: Final = 0.0


class Lost(NamedTuple):
    """A place that can't be used."""

    reason: str
    keep_until: float = _AT_ONCE
    """It is kept until then."""
    dead: bool = False
    """Nothing on its node ends any more that is told to end: there is no node, or its kubelet is not heard."""


def of_node(pod: GpuPod, name: str, nodes: NodeStates) -> Lost | None:
    """What Kubernetes says against a pod on a node."""
    state = nodes.get(name)
    if state is None:
        return Lost(f"node {name} is gone", dead=True)
    if state.ready is not False and not state.cordoned and not state.taints:
        return None
    taint = node_states.barrier(state, pod.tolerations)
    if taint is not None and not taint.passes:
        return Lost(f"{node_states.words(taint)}: node {name}", dead=state.ready is False)
    if state.ready is False:
        since = pod.created if state.since is None else state.since
        return Lost(f"node {name} is not Ready", since + GRACE_SECONDS, dead=True)
    if taint is not None:
        return Lost(f"{node_states.words(taint)}: node {name}", pod.created + GRACE_SECONDS)
    return None


def of_gpus(pod: GpuPod, rank: Rank, graph: ClusterGraph | None, *, degraded: bool) -> Lost | None:
    """What our own reading says against its place; with ``degraded`` a GPU may get less than it should."""
    node = None if graph is None else graph.nodes.get(rank.node)
    reason = "" if node is None else _illness(node, rank.gpus, degraded=degraded)
    return Lost(f"node {rank.node}: {reason}", pod.created + GRACE_SECONDS) if reason else None


def _illness(node: GraphNode, gpus: tuple[int, ...], *, degraded: bool) -> str:
    if node.stale:
        return "nothing is heard of its agent"
    if node.topology is None or node.judged is None or node.judged.ready is None:
        return ""
    there = {gpu.index: gpu for gpu in node.topology.gpus}
    missing = [index for index in gpus if index not in there]
    if missing:
        return f"GPU {missing[0]} is gone"
    if node.judged.ready or (degraded and node.judged.level == "degraded"):
        return ""
    mine = (there[index] for index in gpus)
    ill = [gpu for gpu in mine if node.health.get(gpu.key) in ILL and not is_usable(node, gpu, degraded=degraded)]
    return f"GPU {ill[0].index} is not well" if ill else "it is not well"
