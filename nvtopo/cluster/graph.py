"""``ClusterGraph``: every node with its tiers, every domain with its nodes, and what does not fit together.

Built whole from an inventory, immutable, swapped by one assignment: whoever holds one holds a consistent answer that
names its generation. The same inventory gives the same graph, whatever the order in which its nodes arrived.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from nvtopo.cluster import domains as grouping
from nvtopo.cluster import nodes as concluding
from nvtopo.cluster.domains import Domain
from nvtopo.cluster.findings import Finding
from nvtopo.cluster.inventory import Inventory
from nvtopo.cluster.nodes import GraphNode
from nvtopo.model.node import NodeTopology


@dataclass(frozen=True, slots=True)
class ClusterGraph:
    """The cluster at one generation of the inventory."""

    generation: int
    nodes: Mapping[str, GraphNode]
    """By name, in the order of names; nodes without tiers and unreadable ones included."""
    domains: Mapping[str, Domain]
    """By ID, in the order of their short names."""
    drift: tuple[Finding, ...]
    alone: Mapping[str, GraphNode] = field(repr=False)
    """The nodes before any other node was looked at: what the next build takes over for those that did not change."""


def build(inventory: Inventory, previous: ClusterGraph | None = None) -> ClusterGraph:
    """The graph of an inventory.

    ``previous`` only saves work: nodes whose topology is the very same object are not looked at again.
    """
    alone = MappingProxyType(dict(_alone(inventory, {} if previous is None else previous.alone)))
    shared = tuple(sorted({*_same_place(alone.values()), *_same_gpu(alone.values())}))
    own = (finding for node in alone.values() for finding in node.findings)
    return ClusterGraph(
        generation=inventory.generation,
        nodes=_told(alone, shared),
        domains=grouping.of(alone.values()),
        drift=tuple(sorted((*own, *shared))),
        alone=alone,
    )


def _alone(inventory: Inventory, known: Mapping[str, GraphNode]) -> Iterator[tuple[str, GraphNode]]:
    for name in sorted({*inventory.nodes, *inventory.unreadable}):
        if name in inventory.unreadable:
            yield name, concluding.unreadable(name, inventory.unreadable[name])
            continue
        topology, before = inventory.nodes[name], known.get(name)
        unchanged = before is not None and before.topology is topology
        yield name, before if before is not None and unchanged else _concluded(name, topology)


def _concluded(name: str, topology: NodeTopology) -> GraphNode:
    """The node; where its text fields are not what they should be, which the schema cannot say, an unreadable one."""
    try:
        return concluding.readable(name, topology)
    except ValueError as error:
        return concluding.unreadable(name, str(error))


def _told(alone: Mapping[str, GraphNode], shared: Iterable[Finding]) -> Mapping[str, GraphNode]:
    """The nodes, those concerned with what was found by comparing them with others."""
    nodes = dict(alone)
    for finding in shared:
        for name in finding.nodes:
            node = nodes[name]
            nodes[name] = replace(node, problems=(*node.problems, concluding.as_problem(finding)))
    return MappingProxyType(nodes)


def _same_place(nodes: Iterable[GraphNode]) -> Iterator[Finding]:
    claims: dict[object, list[str]] = {}
    for node in nodes:
        if node.position.exact:
            claims.setdefault(node.position, []).append(node.name)
    for place, names in claims.items():
        if len(names) > 1:
            yield Finding(tuple(names), "same-place", f"{', '.join(names)} claim one place: {place}")


def _same_gpu(nodes: Iterable[GraphNode]) -> Iterator[Finding]:
    claims: dict[str, list[str]] = {}
    for node in nodes:
        for gpu in node.topology.gpus if node.topology is not None else ():
            if gpu.uuid:
                claims.setdefault(gpu.uuid, []).append(node.name)
    shared: dict[tuple[str, ...], list[str]] = {}
    for uuid, names in claims.items():
        if len(names) > 1:
            shared.setdefault(tuple(sorted(set(names))), []).append(uuid)
    for claimants, uuids in shared.items():
        which = f"{uuids[0]} is" if len(uuids) == 1 else f"{len(uuids)} GPUs, {min(uuids)} the first, are"
        yield Finding(claimants, "same-gpu", f"{which} claimed by {', '.join(claimants)}")
