"""A fleet as it is described by three numbers, all of its GPUs free: what a simulation runs on without a cluster."""

from collections.abc import Iterator

from nvtopo.cluster.claims import TIERS
from nvtopo.placement.fleet import Fleet, Host, fleet


def made(racks: int, trays: int, gpus: int, racks_of_a_leaf: int = 0) -> Fleet:
    """Racks of trays of GPUs. Each rack is an NVLink domain; with ``racks_of_a_leaf`` so many share their leaves."""
    return fleet(_hosts(racks, trays, gpus, racks_of_a_leaf), TIERS)


def _hosts(racks: int, trays: int, gpus: int, racks_of_a_leaf: int) -> Iterator[Host]:
    everything = (tuple(range(gpus)),)
    for rack in range(racks):
        tiers = {"nvlinkDomain": f"domain-{rack}"}
        if racks_of_a_leaf:
            tiers["leaf"] = f"leaf-{rack // racks_of_a_leaf}"
        for tray in range(trays):
            yield Host(f"rack-{rack}-tray-{tray}", tiers, free=everything, groups=everything)
