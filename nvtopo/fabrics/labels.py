"""Labels of Kubernetes nodes that clouds and topograph set: which of them is which tier.

Conventions count in opposite directions: topograph's ``tier-0`` is the closest, AWS's ``layer-1`` the farthest.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from nvtopo.cluster.claims import Claim, Reading, Tier
from nvtopo.fabrics import expected_labels
from nvtopo.fabrics.documents import mapping
from nvtopo.fabrics.tree import TIERS_BY_HEIGHT

_AWS: Final = re.compile(r"topology\.k8s\.aws/network-node-layer-(\d)")
#: Some instance types have a fourth, which a node may lack for a while.
_AWS_LAYERS: Final = 3
_AWS_THIRD: Final = "topology.k8s.aws/network-node-layer-3"
_AWS_FOURTH: Final = "topology.k8s.aws/network-node-layer-4"
_TOPOGRAPH: Final = re.compile(r"fabric\.topograph\.run/tier-(\d{1,2})")
_LAYERS: Final[Mapping[str, re.Pattern[str]]] = {"aws": _AWS, "topograph": _TOPOGRAPH}

#: Source → label → tier. Of several labels of a tier the first that a node has counts.
_LABELS: Final[Mapping[str, tuple[tuple[str, Tier], ...]]] = {
    "kubernetes": (("topology.kubernetes.io/zone", "zone"), ("topology.kubernetes.io/region", "zone")),
    "nvidia": (("nvidia.com/gpu.clique", "nvlinkDomain"),),
    "aws": (
        ("topology.k8s.aws/ultraserver-id", "nvlinkDomain"),
        ("sagemaker.amazonaws.com/ultraserver-id", "nvlinkDomain"),
    ),
    "gcp": (
        ("cloud.google.com/gce-topology-subblock", "leaf"),
        ("cloud.google.com/gce-topology-block", "spine"),
    ),
    "oci": (
        ("oci.oraclecloud.com/rdma.local_block_id", "leaf"),
        ("oci.oraclecloud.com/rdma.network_block_id", "spine"),
        ("oci.oraclecloud.com/rdma.hpc_island_id", "core"),
        ("oci.oraclecloud.com/host.rack_id", "rack"),
    ),
    "coreweave": (
        ("ds.coreweave.com/nvlink.domain", "nvlinkDomain"),
        ("node.coreweave.cloud/rack", "rack"),
        ("ib.coreweave.cloud/leafgroup", "leaf"),
        ("backend.coreweave.cloud/leafgroup", "leaf"),
        ("ib.coreweave.cloud/superpod", "spine"),
        ("backend.coreweave.cloud/superpod", "spine"),
        ("ib.coreweave.cloud/fabric", "core"),
        ("backend.coreweave.cloud/fabric", "core"),
    ),
    "crusoe": (("crusoe.ai/pod.id", "spine"), ("crusoe.ai/ib.partition.id", "core")),
    "topograph": (
        ("accelerator.topograph.run/domain", "nvlinkDomain"),
        ("accelerator.topograph.run/sub-domain", "rack"),
    ),
    "topograph-old": (
        ("network.topology.nvidia.com/accelerator", "nvlinkDomain"),
        ("network.topology.nvidia.com/leaf", "leaf"),
        ("network.topology.nvidia.com/block", "leaf"),
        ("network.topology.nvidia.com/spine", "spine"),
        ("network.topology.nvidia.com/core", "core"),
        ("network.topology.nvidia.com/datacenter", "core"),
    ),
}


#: Every label that is looked for by its name.
_NAMES: Final = frozenset(label for table in _LABELS.values() for label, _ in table)


def knows(label: str) -> bool:
    """Whether a label of this name says something of tiers or cables."""
    return label in _NAMES or any(layer.fullmatch(label) for layer in _LAYERS.values()) or expected_labels.knows(label)


def is_node(item: Any) -> bool:
    """Whether it is a Node of Kubernetes."""
    return isinstance(item, dict) and item.get("kind") == "Node" and str(item.get("apiVersion", "v1")) == "v1"


def of_nodes(items: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, str]]:
    """Node → its labels, for those that have any.

    Raises:
        Refused: an object has no metadata.
    """
    nodes: dict[str, Mapping[str, str]] = {}
    for item in items:
        metadata = mapping(item.get("metadata") or {}, "metadata")
        name = metadata.get("name")
        given = metadata.get("labels")
        if isinstance(name, str) and name and isinstance(given, dict):
            nodes[name] = {str(key): str(value) for key, value in given.items() if value not in ("", None)}
    return nodes


def read(items: Iterable[Mapping[str, Any]]) -> dict[str, Reading]:
    """Source → what its labels say, for all nodes that have any."""
    claims: dict[str, list[Claim]] = {}
    nodes = of_nodes(items)
    outer = {labels.get(_AWS_THIRD) for labels in nodes.values() if _AWS_FOURTH in labels}
    for name, labels in nodes.items():
        four = labels.get(_AWS_THIRD, "") in outer
        for source, tiers in _of_node(labels, _AWS_LAYERS + four):
            claims.setdefault(source, []).extend(Claim(name, tier, value, source) for tier, value in tiers.items())
    readings = {source: Reading(claims=tuple(found)) for source, found in claims.items()}
    wired = expected_labels.read(nodes)
    return readings | ({expected_labels.SOURCE: wired} if wired is not None else {})


def _of_node(labels: Mapping[str, str], aws_layers: int) -> Iterator[tuple[str, dict[Tier, str]]]:
    for source, table in _LABELS.items():
        found: dict[Tier, str] = {}
        layers = _LAYERS.get(source)
        if layers is not None:
            found |= _layers(labels, layers, aws_layers if source == "aws" else 0)
        for label, tier in table:
            if label in labels:
                found.setdefault(tier, labels[label])
        if "rack" in found and source == "topograph" and "nvlinkDomain" in found:
            found["rack"] = f"{found['nvlinkDomain']}.{found['rack']}"
        if found:
            yield f"labels/{source}", found


def _layers(labels: Mapping[str, str], pattern: re.Pattern[str], of: int) -> dict[Tier, str]:
    """Numbered labels as tiers. The last of AWS's (``of`` them) is the closest; a node that lacks it has the others."""
    numbered = {int(match[1]): value for label, value in labels.items() if (match := pattern.fullmatch(label))}
    closest = max(of, *numbered) if numbered and of else 0
    levels = {abs(closest - level): value for level, value in numbered.items()}
    return {TIERS_BY_HEIGHT[level]: value for level, value in levels.items() if level < len(TIERS_BY_HEIGHT)}
