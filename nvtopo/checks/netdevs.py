"""Which network devices stand on which: bonds on their members, VLANs on their parents."""

from collections.abc import Mapping
from typing import Final

from nvtopo.checks.check import Machine

_DEEPEST: Final = 4


def lower(machine: Machine) -> Mapping[str, tuple[str, ...]]:
    """Network device → what it stands on, and its members if it is a bond."""
    net = machine.snapshot.net if machine.snapshot is not None else None
    if net is None:
        return {}
    found: dict[str, set[str]] = {device.name: set(device.lower) for device in net.devices}
    for device in net.devices:
        if device.master is not None:
            found.setdefault(device.master, set()).add(device.name)
    return {name: tuple(sorted(below)) for name, below in found.items()}


def below(netdev: str, lower_of: Mapping[str, tuple[str, ...]]) -> set[str]:
    """The device, and all that it stands on."""
    found, front = {netdev}, {netdev}
    for _ in range(_DEEPEST):
        front = {name for upper in front for name in lower_of.get(upper, ())} - found
        found |= front
    return found
