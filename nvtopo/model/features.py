"""The node labels that follow from a node: names under ``nvtopo.io/`` and their values. The set is a public contract.

A label is there only where its fact is known and makes a legal label value, and is a plain integer where one would
compare it. What is not legal is left out and not mended: two NVLink domains cut to the same value would be worse than
none. docs/labels.md lists them all.
"""

import re
from typing import Final

from nvtopo.model.cpulist import format_cpulist
from nvtopo.model.derive import Derived
from nvtopo.model.fabric import verdict
from nvtopo.model.locality import Locality
from nvtopo.model.node import Gpu, Nic, NodeTopology
from nvtopo.model.nvlink import unanswered
from nvtopo.model.roce import roce_mtu

PREFIX = "nvtopo.io/"

#: Without a namespace, so that NFD gives it its own: ``feature.node.kubernetes.io/gpu.nvlink.group``.
GROUP_CONVENTION = "gpu.nvlink.group"
#: A node with more groups of GPUs than this names none of them.
_MOST_GROUPS: Final = 32

_LEGAL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_NUMERIC_VERSION: Final = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})")


def features(node: NodeTopology, derived: Derived) -> dict[str, str]:
    """Label name → value, in order of the names."""
    found = _gpu_features(node, derived) | _nvlink_features(node, derived) | _nic_features(node, derived)
    labels = {PREFIX + name: value for name, value in found.items()} | _group_labels(derived.nvlink_groups or ())
    return {name: value for name, value in sorted(labels.items()) if is_legal(value)}


def is_legal(value: str) -> bool:
    """Whether it is a label value that says something: Kubernetes would take the empty one too."""
    return _LEGAL.fullmatch(value) is not None


def members(group: tuple[int, ...]) -> str:
    """A group of GPUs in one word: ``GPU0-GPU3_GPU6``."""
    runs = format_cpulist(group).split(",")
    return "_".join("-".join(f"GPU{index}" for index in run.split("-")) for run in runs)


def ready(node: NodeTopology, derived: Derived) -> bool | None:
    """Whether nothing that we know of stands in the way of a job: GPUs answer, links are up, the fabric is.

    None while links train after boot and nothing else is wrong.
    """
    if not node.gpus or any(problem.source == "nvml" for problem in node.problems):
        return False
    if any(verdict(gpu.fabric) in ("Error", "Unhealthy") for gpu in node.gpus):
        return False
    if any(gpu.nvlink_training for gpu in node.gpus):
        return None
    return not derived.nvlink_degraded and derived.fabric in ("NotApplicable", "SingleNode", "Attached")


def _group_labels(groups: tuple[tuple[int, ...], ...]) -> dict[str, str]:
    """``G0`` where one group is all there is. A label has one value, so each of several has a label of its own."""
    if len(groups) == 1:
        return {GROUP_CONVENTION: "G0"}
    if len(groups) > _MOST_GROUPS:
        return {}
    return {f"{GROUP_CONVENTION}.G{number}": members(group) for number, group in enumerate(groups)}


def _gpu_features(node: NodeTopology, derived: Derived) -> dict[str, str]:
    if not node.gpus and node.host.driver_version is None:
        return {"ready": "false"} if unanswered(node) else {"gpu.count": "0"}
    found = {"gpu.count": str(len(node.gpus))}
    is_ready = ready(node, derived)
    if is_ready is not None:
        found["ready"] = _yes(is_ready)
    if any(gpu.mig is not None for gpu in node.gpus):
        found["mig"] = _yes(any(gpu.mig for gpu in node.gpus))
    aligned = _aligned(node)
    if aligned is not None:
        found["numa.gpu-aligned"] = _yes(aligned)
    generations = [gpu.link.max_generation for gpu in node.gpus if gpu.link and gpu.link.max_generation]
    if generations:
        found["pcie.generation"] = str(min(generations))
    return found


def _nvlink_features(node: NodeTopology, derived: Derived) -> dict[str, str]:
    found = {}
    links = [gpu.nvlink_count for gpu in node.gpus if gpu.nvlink_count is not None]
    versions = {bundle.version for gpu in node.gpus for bundle in gpu.nvlinks if bundle.version}
    if links:
        found["nvlink.links-per-gpu"] = str(max(links))
    if versions:
        found |= _nvlink_versions(versions)
    if node.gpus and derived.nvlink_groups is not None and derived.nvlink_full_mesh is not None:
        groups = derived.nvlink_groups
        found["nvlink.groups"] = str(len(groups))
        found["nvlink.degraded"] = _yes(bool(derived.nvlink_degraded))
        if groups:
            found["nvlink.group-size"] = str(min(len(group) for group in groups))
            found["nvlink.full-mesh"] = _yes(all(derived.nvlink_full_mesh))
    if derived.nvlink_domain is not None:
        found["nvlink.domain"] = derived.nvlink_domain
    if derived.fabric != "NotApplicable":
        found["nvlink.fabric"] = derived.fabric
    return found


def _nvlink_versions(versions: set[str]) -> dict[str, str]:
    """The oldest version among the links, and its generation as a number; a version that is a word has none."""
    numbers = {version: _NUMERIC_VERSION.fullmatch(version) for version in versions}
    oldest = min(
        ((int(found[1]), int(found[2]), version) for version, found in numbers.items() if found is not None),
        default=None,
    )
    if oldest is None:
        return {"nvlink.version": min(versions)}
    return {"nvlink.version": oldest[2], "nvlink.generation": str(oldest[0])}


def _nic_features(node: NodeTopology, derived: Derived) -> dict[str, str]:
    found = {"nic.count": str(len(node.nics))}
    levels = [nearest.level for nearest in derived.nearest_nics.values()]
    if levels and all(levels):
        found["nic.gpu-locality"] = max((Locality[level] for level in levels if level), default=Locality.SYS).name
    near = _rdma_nics(node, derived)
    if derived.rails:
        found["rdma.rails"] = str(len(derived.rails))
    if derived.gpudirect is not None:
        found["rdma.gdr"] = derived.gpudirect
    _agreed(found, "rdma.link-layer", {port.link_layer for nic in near for port in nic.ports if port.link_layer})
    _agreed(found, "rdma.mtu", {str(mtu) for nic in near if (mtu := _rdma_mtu(nic)) is not None})
    _agreed(
        found,
        "rdma.gid-index",
        {str(port.gid_index) for nic in near for port in nic.ports if port.gid_index is not None},
    )
    return found


def _rdma_nics(node: NodeTopology, derived: Derived) -> list[Nic]:
    """The NICs that GPUs would use; every RDMA NIC on a node without GPUs."""
    return [nic for nic in node.nics if nic.ports and (nic.name in derived.rails or not node.gpus)]


def _rdma_mtu(nic: Nic) -> int | None:
    """The smallest active MTU of the NIC's ports; on Ethernet, where verbs were not asked, what the kernel allows."""
    active = [port.active_mtu_bytes for port in nic.ports if port.active_mtu_bytes]
    if active:
        return min(active)
    ethernet = all(port.link_layer == "Ethernet" for port in nic.ports)
    return roce_mtu(nic.mtu_bytes) if ethernet and nic.mtu_bytes else None


def _aligned(node: NodeTopology) -> bool | None:
    """Whether every GPU has a NIC of its own NUMA node; None where that is not known or there is nothing to align."""
    nodes = {nic.numa_node for nic in node.nics if nic.ports or nic.speed_bytes_per_second}
    if not node.gpus or not nodes or None in nodes or any(gpu.numa_node is None for gpu in node.gpus):
        return None
    return all(_near(gpu, nodes) for gpu in node.gpus)


def _near(gpu: Gpu, nodes: set[int | None]) -> bool:
    return gpu.numa_node in nodes


def _agreed(found: dict[str, str], name: str, values: set[str]) -> None:
    """Set a label where all agree; a mixture has no one value and no label."""
    if len(values) == 1:
        found[name] = values.pop()


def _yes(value: bool) -> str:  # noqa: FBT001 - a truth value is what it renders
    return "true" if value else "false"
