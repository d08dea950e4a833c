"""The node labels that follow from a node: names under ``nvtopo.io/`` and their values. The set is a public contract.

A label is there only where its fact is known and makes a legal label value, and is a plain integer where one would
compare it. What is not legal is left out and not mended: two NVLink domains cut to the same value would be worse than
none. docs/labels.md lists them all.
"""

import re
from typing import Final

from nvtopo.model.conclusions import names, ports, unread, unseen
from nvtopo.model.conclusions.derive import Derived
from nvtopo.model.conclusions.links import hides
from nvtopo.model.conclusions.nvlink import unanswered
from nvtopo.model.conclusions.roce import roce_mtu
from nvtopo.model.formats.cpulist import format_cpulist
from nvtopo.model.records.node import Gpu, Nic, NodeTopology

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
    found |= _kubelet_features(node) | _rate_features(node, derived)
    labels = {PREFIX + name: value for name, value in found.items()} | _group_labels(derived.nvlink_groups or ())
    shown = unseen.shown(labels, node.unseen)
    return {name: value for name, value in sorted(shown.items()) if is_legal(value)}


def is_legal(value: str) -> bool:
    """Whether it is a label value that says something: Kubernetes would take the empty one too."""
    return _LEGAL.fullmatch(value) is not None


def members(group: tuple[int, ...]) -> str:
    """A group of GPUs in one word: ``GPU0-GPU3_GPU6``."""
    runs = format_cpulist(group).split(",")
    return "_".join("-".join(names.gpu(int(index)) for index in run.split("-")) for run in runs)


def _group_labels(groups: tuple[tuple[int, ...], ...]) -> dict[str, str]:
    """``G0`` where one group is all there is. A label has one value, so each of several has a label of its own."""
    if len(groups) == 1:
        return {GROUP_CONVENTION: "G0"}
    if len(groups) > _MOST_GROUPS:
        return {}
    return {f"{GROUP_CONVENTION}.G{number}": members(group) for number, group in enumerate(groups)}


def _gpu_features(node: NodeTopology, derived: Derived) -> dict[str, str]:
    if not node.gpus and node.host.driver_version is None and not unanswered(node) and not node.accelerators:
        return {} if "pci" in unread.touched(node) else {"gpu.count": "0"}
    known = node.gpus or not (unanswered(node) or node.accelerators)
    found = {"gpu.count": str(len(node.gpus))} if known else {}
    if derived.health.ready is not None:
        found["ready"] = _yes(derived.health.ready)
    if (mig := _mig(node)) is not None:
        found["mig"] = _yes(mig)
    aligned = _aligned(node)
    if aligned is not None:
        found["numa.gpu-aligned"] = _yes(aligned)
    generations = [gpu.link.max_generation if gpu.link else None for gpu in node.gpus]
    known_generations = [generation for generation in generations if generation]
    if generations and len(known_generations) == len(generations):
        found["pcie.generation"] = str(min(known_generations))
    return found


def _mig(node: NodeTopology) -> bool | None:
    """Whether some GPU is in MIG mode; None if no GPU has one, or one whose driver gave errors may have it."""
    if any(gpu.mig for gpu in node.gpus):
        return True
    asked = {problem.subject for problem in node.problems if problem.source == "nvml"}
    unknown = any(gpu.mig is None and gpu.key in asked for gpu in node.gpus)
    return False if not unknown and any(gpu.mig is False for gpu in node.gpus) else None


def _nvlink_features(node: NodeTopology, derived: Derived) -> dict[str, str]:
    found = {}
    links = [gpu.nvlink_count for gpu in node.gpus if gpu.nvlink_count is not None]
    versions = {bundle.version for gpu in node.gpus for bundle in gpu.nvlinks if bundle.version or bundle.usable}
    hidden = any(hides(node, gpu) for gpu in node.gpus)
    if links and not hidden:
        found["nvlink.links-per-gpu"] = str(max(links))
    if versions and all(versions) and not hidden:
        found |= _nvlink_versions(versions)
    if node.gpus and derived.nvlink_groups is not None and derived.nvlink_full_mesh is not None:
        groups = derived.nvlink_groups
        found["nvlink.groups"] = str(len(groups))
        if derived.health.nvlink_degraded is not None:
            found["nvlink.degraded"] = _yes(derived.health.nvlink_degraded)
        if groups:
            found["nvlink.group-size"] = str(min(len(group) for group in groups))
            found["nvlink.full-mesh"] = _yes(all(derived.nvlink_full_mesh))
    if derived.nvlink_domain is not None:
        found["nvlink.domain"] = derived.nvlink_domain
    if derived.fabric not in ("NotApplicable", "Unknown"):
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
    if unread.touched(node) & unread.OF_DEVICES:
        return {}
    found = {"nic.count": str(len(node.nics))}
    levels = [nearest.level for nearest in derived.nearest_nics.values()]
    known = [level for level in levels if level is not None]
    if known and len(known) == len(levels):
        found["nic.gpu-locality"] = max(known).name
    near = _rdma_nics(node, derived)
    if derived.rails:
        found["rdma.rails"] = str(len(derived.rails))
    if derived.gpudirect is not None:
        found["rdma.gdr"] = derived.gpudirect
    _agreed(found, "rdma.link-layer", [{port.link_layer for port in nic.ports if port.link_layer} for nic in near])
    if ports.none_up(near):
        return found
    _agreed(found, "rdma.mtu", [{str(mtu)} if (mtu := _rdma_mtu(nic)) is not None else set() for nic in near])
    if found.get("rdma.link-layer") == "Ethernet":
        _agreed(
            found, "rdma.netdev-mtu", [{str(nic.mtu_bytes)} if nic.mtu_bytes is not None else set() for nic in near]
        )
    _agreed(
        found,
        "rdma.gid-index",
        [{str(port.gid_index) for port in nic.ports if port.gid_index is not None} for nic in near],
    )
    return found


def _rate_features(node: NodeTopology, derived: Derived) -> dict[str, str]:
    """The rate that every port of every rail has."""
    if unread.touched(node) & unread.OF_DEVICES:
        return {}
    near = _rdma_nics(node, derived)
    rates = {port.rate_bytes_per_second for nic in near for port in nic.ports}
    if len(rates) != 1 or None in rates or not all(nic.ports for nic in near):
        return {}
    return {"rdma.rate-gbps": str(round((rates.pop() or 0) * 8 / 1e9))}


def _kubelet_features(node: NodeTopology) -> dict[str, str]:
    """The policies in force."""
    if node.kubelet is None:
        return {}
    policies = {
        "kubelet.cpu-manager-policy": node.kubelet.cpu_manager_policy,
        "kubelet.topology-manager-policy": node.kubelet.topology_manager_policy,
    }
    return {name: policy for name, policy in policies.items() if policy}


def _rdma_nics(node: NodeTopology, derived: Derived) -> list[Nic]:
    """The NICs that GPUs would use; every RDMA NIC on a node without GPUs."""
    if derived.rails or node.gpus:
        return [nic for nic in node.nics if nic.name in derived.rails]
    return [nic for nic in node.nics if nic.ports]


def _rdma_mtu(nic: Nic) -> int | None:
    """The smallest active MTU of the NIC's ports; on Ethernet, where verbs were not asked, what the kernel allows."""
    active = [port.active_mtu_bytes for port in nic.ports if port.active_mtu_bytes]
    if active:
        return min(active)
    ethernet = all(port.link_layer == "Ethernet" for port in nic.ports)
    return roce_mtu(nic.mtu_bytes) if ethernet and nic.mtu_bytes else None


def _aligned(node: NodeTopology) -> bool | None:
    """Whether every GPU has a NIC of its own NUMA node; None where that is not known or there is nothing to align."""
    nodes = {nic.numa_node for nic in node.nics if nic.ports or nic.pci_address}
    if unread.touched(node) & unread.OF_DEVICES:
        return None
    if not node.gpus or not nodes or None in nodes or any(gpu.numa_node is None for gpu in node.gpus):
        return None
    return all(_near(gpu, nodes) for gpu in node.gpus)


def _near(gpu: Gpu, nodes: set[int | None]) -> bool:
    return gpu.numa_node in nodes


def _agreed(found: dict[str, str], name: str, by_nic: list[set[str]]) -> None:
    """Set a label where every NIC is known to have the one value."""
    values = set().union(*by_nic)
    if len(values) == 1 and all(by_nic):
        found[name] = values.pop()


def _yes(value: bool) -> str:  # noqa: FBT001 - a truth value is what it renders
    return "true" if value else "false"
