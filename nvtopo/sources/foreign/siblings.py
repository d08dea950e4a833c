"""Hosts of one input that are alike in all but their NVLinks: those with fewer lack what the others have.

One host alone can't show it: GPUs that print SYS to each other may have no bridges, or broken ones.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from nvtopo.model.conclusions.health_kinds import SIBLINGS
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.record import Problem


def compared(hosts: Sequence[tuple[str, NodeTopology]]) -> list[NodeTopology]:
    """The hosts' nodes, with a problem for each pair of GPUs that has fewer NVLinks than on a host that is alike."""
    best: dict[object, dict[tuple[int, int], tuple[int, str]]] = {}
    for name, node in hosts:
        of_shape = best.setdefault(_shape(node), {})
        for pair, links in _links(node).items():
            of_shape[pair] = max(of_shape.get(pair, (0, "")), (links, name), key=lambda found: found[0])
    return [_with_problems(node, best[_shape(node)]) for _, node in hosts]


def _shape(node: NodeTopology) -> object:
    """What must be equal before anything is compared: GPUs and their places, and NICs; products where they are said."""
    gpus = tuple((gpu.index, gpu.name, gpu.numa_node, gpu.numa_nodes, gpu.local_cpus) for gpu in node.gpus)
    return gpus, tuple(nic.name for nic in node.nics)


def _links(node: NodeTopology) -> dict[tuple[int, int], int]:
    return {(pair.a, pair.b): pair.nvlinks for pair in node.pairs if pair.nvlinks}


def _with_problems(node: NodeTopology, best: dict[tuple[int, int], tuple[int, str]]) -> NodeTopology:
    if node.nvlink_hidden or "paths" in node.unseen or "gpus" in node.unseen:
        return node
    mine = _links(node)
    found = [
        Problem(
            source=SIBLINGS,
            subject=f"GPU{a}-GPU{b}",
            reason=f"{f'NV{mine[a, b]}' if (a, b) in mine else 'no NVLink'}, and NV{links} on {name or 'a host alike'}",
        )
        for (a, b), (links, name) in sorted(best.items())
        if mine.get((a, b), 0) < links
    ]
    return replace(node, problems=(*node.problems, *found)) if found else node
