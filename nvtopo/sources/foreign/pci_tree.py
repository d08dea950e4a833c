"""Paths of PCI functions from what their bridges say of the bus behind them."""

from typing import NamedTuple

from nvtopo.model.formats.address import PciAddress
from nvtopo.sources.foreign.given import Notes

_DEEPEST = 64


class Bridge(NamedTuple):
    """A bridge, and the bus right behind it."""

    address: PciAddress
    secondary: int


def paths(functions: list[PciAddress], bridges: list[Bridge], notes: Notes) -> dict[PciAddress, str]:
    """Function → what it hangs from, root first, as sysfs nests it; nothing where the list has no bridges.

    Firmware and broken captures give two bridges one bus, or a bus that is above itself (fixtures of hwloc have both):
    such functions have no path.
    """
    above: dict[tuple[str, int], PciAddress] = {}
    for bridge in bridges:
        bus = (_domain(bridge.address), bridge.secondary)
        if bridge.secondary and above.setdefault(bus, bridge.address) != bridge.address:
            notes.add(bridge.address, f"leads to bus {bridge.secondary:02x} as {above[bus]} does")
    if not bridges:
        return {}
    return {address: path for address in functions if (path := _path(address, above, notes))}


def _path(address: PciAddress, above: dict[tuple[str, int], PciAddress], notes: Notes) -> str:
    domain, here = _domain(address), address
    components: list[str] = []
    while (parent := above.get((domain, _bus(here)))) is not None:
        if parent == address or len(components) > _DEEPEST:
            notes.add(address, "is behind itself: its bridges contradict each other")
            return ""
        components.append(parent)
        here = parent
    return "/".join([f"pci{domain}:{_bus(here):02x}", *reversed(components)])


def _domain(address: PciAddress) -> str:
    return address.split(":", 1)[0]


def _bus(address: PciAddress) -> int:
    return int(address.split(":")[1], 16)
