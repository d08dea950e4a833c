"""``NodeResourceTopology``: a zone for each NUMA node with CPUs, for schedulers that place pods by NUMA.

nvtopo does not know who holds what, so ``available`` is ``allocatable``: the scheduler plugin's cache counts its own
pods. A GPU whose NUMA node the firmware does not state is in no zone.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from nvtopo.cluster.nodes import GraphNode
from nvtopo.model.conclusions.health_kinds import USABLE
from nvtopo.model.formats.cpulist import count
from nvtopo.model.formats.object_name import is_subdomain
from nvtopo.model.records.facts import NumaNode
from nvtopo.model.records.node import NodeTopology


def documents(nodes: Mapping[str, GraphNode]) -> list[dict[str, Any]]:
    """An object for each node of which the NUMA nodes are known."""
    return [
        _document(node.name, node.topology, node)
        for node in nodes.values()
        if node.topology and node.topology.numa and is_subdomain(node.name)
    ]


def _document(name: str, topology: NodeTopology, node: GraphNode) -> dict[str, Any]:
    kubelet = topology.kubelet
    known = {} if kubelet is None else {"topologyManagerPolicy": kubelet.topology_manager_policy}
    known |= {} if kubelet is None else {"topologyManagerScope": kubelet.topology_manager_scope}
    attributes = [{"name": key, "value": value} for key, value in known.items() if value]
    return {
        "apiVersion": "topology.node.k8s.io/v1alpha2",
        "kind": "NodeResourceTopology",
        "metadata": {"name": name},
        **({"attributes": attributes} if attributes else {}),
        "zones": [_zone(numa, topology, node) for numa in topology.numa if numa.cpus],
    }


def _zone(numa: NumaNode, topology: NodeTopology, node: GraphNode) -> dict[str, Any]:
    costs = [
        {"name": f"node-{other.index}", "value": distance}
        for other, distance in zip(topology.numa, numa.distances, strict=False)
        if other.cpus
    ]
    return {
        "name": f"node-{numa.index}",
        "type": "Node",
        **({"costs": costs} if costs else {}),
        "resources": list(_resources(numa, topology, node)),
    }


def _resources(numa: NumaNode, topology: NodeTopology, node: GraphNode) -> Iterator[dict[str, str]]:
    yield _resource("cpu", count(numa.cpus))
    if numa.memory_bytes is not None:
        yield _resource("memory", numa.memory_bytes)
    own = [gpu for gpu in topology.gpus if gpu.numa_node == numa.index]
    if own:
        usable = sum(1 for gpu in own if node.health.get(gpu.key) in USABLE)
        yield _resource("nvidia.com/gpu", len(own), usable)


def _resource(name: str, capacity: int, usable: int | None = None) -> dict[str, str]:
    left = str(capacity if usable is None else usable)
    return {"name": name, "capacity": str(capacity), "allocatable": left, "available": left}
