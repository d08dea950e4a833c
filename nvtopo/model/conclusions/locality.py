"""How near two PCI devices are, from the paths that sysfs nests them in.

Two vocabularies: ``nvidia-smi topo -m``'s, which users read, and NCCL's, which decides what a job does. They differ:
NCCL has no NODE, does not count root ports, and ranks a switch by its upstream port.
"""

from enum import IntEnum


class Locality(IntEnum):
    """Nearest first, in the words of the ``nvidia-smi topo -m`` legend."""

    X = 0
    """The device itself."""
    PIX = 1
    """At most a single PCIe bridge (switch)."""
    PXB = 2
    """Several PCIe bridges, without the host bridge."""
    PHB = 3
    """A PCIe host bridge, typically the CPU's."""
    NODE = 4
    """Between host bridges of one NUMA node."""
    SYS = 5
    """Across NUMA nodes."""


#: A switch's downstream port and the device on it: what may be left of a path below the switch that both share.
_PORT_AND_DEVICE = 2


def between(a: str, b: str, *, same_numa: bool | None) -> Locality | None:
    """The level by nvidia-smi's rules; ``a`` and ``b`` are whole paths, the device last.

    ``same_numa`` is None where it is not known whether they share a NUMA node; then paths without a common root give
    None, which is "unknown" and not "far".
    """
    return of_components(a.split("/"), b.split("/"), same_numa=same_numa)


def of_components(one: list[str], other: list[str], *, same_numa: bool | None) -> Locality | None:
    """As ``between``, for paths taken apart."""
    shared = _shared(one, other)
    if one == other:
        return Locality.X
    if shared == 0:
        return None if same_numa is None else Locality.NODE if same_numa else Locality.SYS
    if one[shared - 1].startswith("pci"):
        return Locality.PHB  # the root, or the host bridge of a domain nested below a device (a100-vmd-domain-10000)
    return Locality.PIX if max(len(one), len(other)) - shared <= _PORT_AND_DEVICE else Locality.PXB


def nccl_between(a: str, b: str, *, same_numa: bool | None) -> Locality | None:
    """The level by NCCL's rules (``ncclTopoGetXmlFromSys``): PIX, PXB, PHB or SYS."""
    if a == b:
        return Locality.X
    mine, theirs = nccl_switches(a), nccl_switches(b)
    if mine and theirs and mine[0] == theirs[0]:
        return Locality.PIX
    if set(mine) & set(theirs):
        return Locality.PXB
    if same_numa is None:
        return Locality.PHB if _shared(a.split("/"), b.split("/")) else None
    return Locality.PHB if same_numa else Locality.SYS


def _shared(one: list[str], other: list[str]) -> int:
    """How many components two paths have in common, from the root."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def nccl_switches(path: str) -> list[str]:
    """The switches above a device (whole path), nearest first: NCCL climbs two components, a port and its switch."""
    bridges = path.split("/")[1:-1]
    return bridges[-2::-2] if len(bridges) > 1 else []
