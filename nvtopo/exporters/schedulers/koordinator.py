"""Koordinator: a ``ClusterNetworkTopology`` whose layers name their parents, and a ``Device`` for each node.

Koordinator's own agent writes Devices too: ours are for clusters without it.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from nvtopo.cluster.nodes import GraphNode
from nvtopo.exporters.schedulers.view import LABELS, View
from nvtopo.model.conclusions.health_kinds import USABLE
from nvtopo.model.conclusions.ports import is_up
from nvtopo.model.formats.object_name import is_subdomain
from nvtopo.model.records.node import Gpu, Nic

_LAYERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "nvlinkDomain": "NVLinkDomainLayer",
        "rack": "RackLayer",
        "leaf": "LeafLayer",
        "spine": "SpineLayer",
        "core": "CoreLayer",
        "zone": "ZoneLayer",
    }
)
_NODES: Final = "NodeTopologyLayer"
_MEBI: Final = 1 << 20
#: What Koordinator's agent writes for a socket that it does not know.
_NO_SOCKET: Final = -1


def documents(view: View, name: str) -> list[dict[str, Any]]:
    """The object. Koordinator's manager reads the one that is called ``default``."""
    layers: list[dict[str, Any]] = []
    parent: str | None = None
    for tier in reversed(view.tiers):
        above = {} if parent is None else {"parentTopologyLayer": parent}
        layers.append({"topologyLayer": _LAYERS[tier], **above, "labelKey": [LABELS[tier]]})
        parent = _LAYERS[tier]
    above = {} if parent is None else {"parentTopologyLayer": parent}
    layers.append({"topologyLayer": _NODES, **above})
    return [
        {
            "apiVersion": "scheduling.koordinator.sh/v1alpha1",
            "kind": "ClusterNetworkTopology",
            "metadata": {"name": name},
            "spec": {"networkTopologySpec": layers},
        }
    ]


def devices(nodes: Mapping[str, GraphNode]) -> list[dict[str, Any]]:
    """A ``Device`` for each node of which the GPUs are known. What is not known to be well is not called healthy."""
    return [
        {
            "apiVersion": "scheduling.koordinator.sh/v1alpha1",
            "kind": "Device",
            "metadata": {"name": name},
            "spec": {"devices": list(_devices(node))},
        }
        for name, node in nodes.items()
        if node.topology is not None and node.topology.gpus and is_subdomain(name)
    ]


def _devices(node: GraphNode) -> Iterator[dict[str, Any]]:
    if node.topology is None:
        return
    for gpu in node.topology.gpus:
        memory = {} if gpu.memory_bytes is None else {"koordinator.sh/gpu-memory": f"{gpu.memory_bytes // _MEBI}Mi"}
        yield {
            "type": "gpu",
            "id": gpu.uuid,
            "minor": gpu.index,
            **({} if gpu.module_id is None else {"moduleID": gpu.module_id}),
            "health": node.health.get(gpu.key) in USABLE,
            "resources": {"koordinator.sh/gpu-core": "100", **memory},
            **_topology(gpu),
        }
    with_rdma = (nic for nic in node.topology.nics if nic.ports and nic.pci_address)
    for number, nic in enumerate(with_rdma):
        yield {
            "type": "rdma",
            "id": nic.pci_address,
            "minor": number,
            "health": any(is_up(port) for port in nic.ports),
            **_topology(nic),
        }


def _topology(device: Gpu | Nic) -> dict[str, Any]:
    """Where it is; absent if its NUMA node or PCI root is not known: 0 would be a place."""
    root = device.path.partition("/")[0].removeprefix("pci")
    if device.numa_node is None or not root or device.pci_address is None:
        return {}
    place = {"socketID": _NO_SOCKET, "nodeID": device.numa_node, "pcieID": root, "busID": device.pci_address}
    return {"topology": place}
