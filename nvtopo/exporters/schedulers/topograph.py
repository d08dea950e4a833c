"""topograph's node labels, for schedulers that are set up for them: the keys of its version 1, and the ones before.

Version 1 counts tiers of switches from the node: ``tier-0`` is the leaf. The old keys are under a domain of
NVIDIA's, so they are printed and never applied.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from nvtopo.exporters.schedulers import nfd
from nvtopo.exporters.schedulers.view import View

_FABRIC: Final = "fabric.topograph.run/tier-"
_DOMAIN: Final = "accelerator.topograph.run/domain"
_SWITCHES: Final = ("leaf", "spine", "core")
_OLD: Final[Mapping[str, str]] = MappingProxyType(
    {
        "nvlinkDomain": "network.topology.nvidia.com/accelerator",
        "leaf": "network.topology.nvidia.com/leaf",
        "spine": "network.topology.nvidia.com/spine",
        "core": "network.topology.nvidia.com/core",
    }
)


def labels(view: View, node: str) -> dict[str, str]:
    """The labels of a node. Tiers are counted over the cluster, so a node whose leaf is not known has no ``tier-0``."""
    own = view.of[node]
    switches = [tier for tier in _SWITCHES if tier in view.tiers]
    found = {f"{_FABRIC}{number}": own[tier] for number, tier in enumerate(switches) if tier in own}
    return found | ({_DOMAIN: own["nvlinkDomain"]} if "nvlinkDomain" in own else {})


def old_labels(view: View, node: str) -> dict[str, str]:
    """The labels of topograph 0.5 and before."""
    return {key: view.of[node][tier] for tier, key in _OLD.items() if tier in view.of[node]}


def node_features(view: View, namespace: str) -> list[dict[str, Any]]:
    """NodeFeatures through which Node Feature Discovery writes the labels of version 1."""
    return nfd.node_features("nvtopo-topograph", namespace, {node: labels(view, node) for node in view.nodes})


def printed(view: View) -> dict[str, dict[str, str]]:
    """Node → its old labels; nodes without any are left out."""
    return {node: found for node in view.nodes if (found := old_labels(view, node))}
