"""The NICs that a pod of a gang is told of."""

from nvtopo.cluster.graph import ClusterGraph
from nvtopo.model.conclusions.distance import Distances
from nvtopo.model.conclusions.locality import Locality
from nvtopo.model.conclusions.paths import nearest_nics
from nvtopo.placement.result import Rank


def near_nics(graph: ClusterGraph | None, rank: Rank | None) -> str:
    """The NICs nearest to the GPUs of a rank, in the order of these, separated by commas; empty if none is known."""
    node = graph.nodes.get(rank.node) if graph is not None and rank is not None else None
    if node is None or node.topology is None or rank is None:
        return ""
    distances = Distances(node.topology)
    found: dict[str, None] = {}
    for gpu in node.topology.gpus:
        if gpu.index in rank.gpus:
            near = nearest_nics(node.topology, distances, gpu)
            if near.level is not None and near.level < Locality.SYS:
                found.update(dict.fromkeys(near.nics))
    return ",".join(found)
