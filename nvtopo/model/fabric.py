"""The NVSwitch and multi-node NVLink fabric: what its state means, and which NVLink domain a node is in."""

from typing import Literal

from nvtopo.model.facts import GpuFabric
from nvtopo.model.node import NodeTopology

Verdict = Literal["NotApplicable", "SingleNode", "Attached", "Registering", "Error", "Unhealthy", "Mixed"]

#: GPU_FABRIC_HEALTH_MASK: two-bit fields at these shifts, where 1 means that it is so (NVML header; all clear = 0x1aa).
_HEALTH_SHIFTS = (0, 2, 4, 6)
_TRUE = 1
#: INCORRECT_CONFIGURATION, four bits from bit 8: 0 not asked, 1 none, above that the reason.
_CONFIGURATION_SHIFT, _CONFIGURATION_MASK, _CONFIGURATION_NONE = 8, 0xF, 1


def verdict(fabric: GpuFabric | None) -> Verdict:
    """What one GPU's fabric state amounts to. Trained links never make it better than this."""
    if fabric is None or fabric.state in (None, "not-supported"):
        return "NotApplicable"
    if fabric.state in ("not-started", "in-progress"):
        return "Registering"
    if fabric.status:
        return "Error"
    if _unhealthy(fabric):
        return "Unhealthy"
    return "Attached" if has_cluster(fabric) else "SingleNode"


def has_cluster(fabric: GpuFabric) -> bool:
    """Whether the cluster UUID names a multi-node domain: an HGX board completes with all zeros, or with none."""
    return fabric.cluster_uuid is not None and fabric.cluster_uuid.strip("0-") != ""


def node_verdict(node: NodeTopology) -> Verdict:
    """The node's verdict: its GPUs' where they agree, else Mixed."""
    verdicts = {verdict(gpu.fabric) for gpu in node.gpus}
    return verdicts.pop() if len(verdicts) == 1 else "Mixed" if verdicts else "NotApplicable"


def gpu_domain(fabric: GpuFabric | None) -> str | None:
    """``<clusterUUID>.<cliqueID>`` of one GPU; the clique alone is not unique, the cluster alone not the domain.

    A domain that its own health summary calls unhealthy is still where the GPU is: the verdict says the rest.
    """
    if fabric is None or fabric.clique_id is None or not has_cluster(fabric):
        return None
    return f"{fabric.cluster_uuid}.{fabric.clique_id}" if verdict(fabric) in ("Attached", "Unhealthy") else None


def domain(node: NodeTopology) -> str | None:
    """The NVLink domain that all GPUs of the node are in; None where they are in none, or not all in one."""
    names = {gpu_domain(gpu.fabric) for gpu in node.gpus}
    return names.pop() if len(names) == 1 else None


def _unhealthy(fabric: GpuFabric) -> bool:
    if fabric.health_summary == "unhealthy":
        return True
    mask = fabric.health_mask or 0
    configuration = mask >> _CONFIGURATION_SHIFT & _CONFIGURATION_MASK
    return configuration > _CONFIGURATION_NONE or any(mask >> shift & 3 == _TRUE for shift in _HEALTH_SHIFTS)
