"""NVLinks of one GPU: how many it has, how many are usable, and of how many that is not known."""

from nvtopo.model.formats import cpulist
from nvtopo.model.records.node import Gpu, NodeTopology
from nvtopo.model.records.nvlinks import NvLinkBundle

#: What stands for the version of AMD's GPU links, which RCCL's files list: a GPU has as many as its place needs.
XGMI = "xGMI"


def link_count(gpu: Gpu) -> int:
    """How many NVLinks a GPU has, usable or not."""
    count = 0
    for bundle in gpu.nvlinks:
        if bundle.version == XGMI:
            return 0
        count += bundle.count
    return max(gpu.nvlink_count or 0, count)


def usable_links(gpu: Gpu) -> int:
    """How many of a GPU's NVLinks can carry traffic."""
    return sum(bundle.count for bundle in gpu.nvlinks if bundle.usable)


def unknown_links(gpu: Gpu) -> int:
    """How many of a GPU's NVLinks are in a state that the driver did not tell."""
    return sum(bundle.count for bundle in gpu.nvlinks if bundle.state is None)


def unknown_ends(node: NodeTopology, gpu: Gpu) -> int:
    """How many of a GPU's usable NVLinks lead nobody knows where: the driver did not tell what is at the other end."""
    if all(_leads_somewhere(bundle) for bundle in gpu.nvlinks):  # of nearly every GPU
        return 0
    vague = [bundle for bundle in gpu.nvlinks if bundle.usable and bundle.remote is None and bundle.version != XGMI]
    gpus = {other.pci_address for other in node.gpus}
    if None in gpus:  # an address that is no GPU's here may be that of the GPU without one
        vague += [bundle for bundle in gpu.nvlinks if bundle.usable and bundle.remote == "gpu" and bundle.peers]
    known = (cpulist.count(links) for bundle in vague for end, links in bundle.peers.items() if end in gpus)
    hidden = (bundle.count for bundle in gpu.nvlinks if bundle.usable and bundle.remote == "gpu" and not bundle.peers)
    return sum(bundle.count for bundle in vague) - sum(known) + sum(hidden)


def _leads_somewhere(bundle: NvLinkBundle) -> bool:
    """Whether it is known where it leads, whatever the other GPUs are."""
    return not bundle.usable or bundle.remote not in (None, "gpu")


def hides(node: NodeTopology, gpu: Gpu) -> bool:
    """Whether a GPU may have links that it does not show; one in a fabric, or beside NVSwitches, has some."""
    registered = gpu.fabric is not None and gpu.fabric.state not in (None, "not-supported")
    return gpu.nvlinks_unknown or bool(not gpu.mig and not link_count(gpu) and (registered or node.nvswitches))
