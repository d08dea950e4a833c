"""The NVSwitch and multi-node NVLink fabric: what its state means, and which NVLink domain a node is in."""

from functools import lru_cache
from typing import Final, Literal

from nvtopo.model.conclusions import nvlink
from nvtopo.model.records.facts import GpuFabric
from nvtopo.model.records.node import Gpu, NodeTopology

Verdict = Literal["NotApplicable", "SingleNode", "Attached", "Registering", "Error", "Unhealthy", "Mixed", "Unknown"]

_VERSIONS_WITH_FABRIC = ("4.0", "5.0", "6.0")
#: GPU_FABRIC_HEALTH_MASK: two-bit fields at these shifts, where 1 means that it is so (NVML header; all clear = 0x1aa).
_HEALTH_SHIFTS = (0, 2, 4, 6)
_TRUE = 1
#: Fabrics whose verdict is remembered: all GPUs of a domain have one.
_REMEMBERED: Final = 4096
#: INCORRECT_CONFIGURATION, four bits from bit 8: 0 not asked, 1 none, above that the reason.
_CONFIGURATION_SHIFT, _CONFIGURATION_MASK, _CONFIGURATION_NONE = 8, 0xF, 1


@lru_cache(maxsize=_REMEMBERED)
def verdict(fabric: GpuFabric | None) -> Verdict:
    """The verdict on one GPU's fabric state, whatever the state of its links."""
    if fabric is None or fabric.state == "not-supported":
        return "NotApplicable"
    if fabric.state is None:
        return "Unknown"
    if fabric.state in ("not-started", "in-progress"):
        return "Registering"
    if fabric.status:
        return "Error"
    if _unhealthy(fabric):
        return "Unhealthy"
    return "Attached" if has_cluster(fabric) else "SingleNode"


def verdicts(node: NodeTopology) -> dict[int, Verdict]:
    """GPU index → its verdict, with what its links tell of a fabric that it says it has not."""
    refused = nvlink.refused(node)
    return {
        gpu.index: "Error" if gpu.index in refused and lacks_fabric(gpu) else verdict(gpu.fabric) for gpu in node.gpus
    }


def lacks_fabric(gpu: Gpu) -> bool:
    """Whether a GPU has no fabric and its links need one: links to switches from NVLink 4.0 on (Hopper)."""
    return verdict(gpu.fabric) == "NotApplicable" and any(
        bundle.usable and bundle.remote == "switch" and bundle.version in _VERSIONS_WITH_FABRIC
        for bundle in gpu.nvlinks
    )


def has_cluster(fabric: GpuFabric) -> bool:
    """Whether the cluster UUID names a multi-node domain: an HGX board completes with all zeros, or with none."""
    return fabric.cluster_uuid is not None and fabric.cluster_uuid.strip("0-") != ""


def node_verdict(node: NodeTopology) -> Verdict:
    """The node's verdict: its GPUs' where they agree, else Mixed. What is not known of one agrees with nothing."""
    of_gpus = verdicts(node)
    found = {of_gpus[gpu.index] for gpu in _of_fabric(node) if gpu.index in of_gpus}
    if len(found - {"Unknown"}) > 1:
        return "Mixed"
    return "Unknown" if "Unknown" in found else found.pop() if found else "NotApplicable"


def _of_fabric(node: NodeTopology) -> tuple[Gpu, ...]:
    """GPUs of the products that have a fabric; all, if none has. A display card beside them is in no state to it."""
    products = {gpu.name for gpu in node.gpus if verdict(gpu.fabric) != "NotApplicable"}
    return tuple(gpu for gpu in node.gpus if not products or gpu.name in products)


def gpu_domain(fabric: GpuFabric | None) -> str | None:
    """``<clusterUUID>.<cliqueID>`` of one GPU; the clique alone is not unique, the cluster alone not the domain.

    A GPU stays in a domain whose health summary is unhealthy; the verdict reports that.
    """
    if fabric is None or fabric.clique_id is None or not has_cluster(fabric):
        return None
    return f"{fabric.cluster_uuid}.{fabric.clique_id}" if verdict(fabric) in ("Attached", "Unhealthy") else None


def domain(node: NodeTopology) -> str | None:
    """The NVLink domain that all GPUs of the node are in; None where they are in none, or not all in one."""
    names = {gpu_domain(gpu.fabric) for gpu in _of_fabric(node)}
    return names.pop() if len(names) == 1 else None


def _unhealthy(fabric: GpuFabric) -> bool:
    if fabric.health_summary == "unhealthy":
        return True
    mask = fabric.health_mask or 0
    configuration = mask >> _CONFIGURATION_SHIFT & _CONFIGURATION_MASK
    return configuration > _CONFIGURATION_NONE or any(mask >> shift & 3 == _TRUE for shift in _HEALTH_SHIFTS)
