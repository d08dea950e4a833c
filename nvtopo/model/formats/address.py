"""PCI addresses in one spelling: sysfs's, lower case, with as many domain digits as the domain needs (at least four).

NVML prints ``00000000:3B:00.0``, lspci ``3b:00.0``, and VMD domains have five digits (``10000:e0:06.0``).
"""

import re
from typing import Annotated, NewType

from msgspec import Meta

from nvtopo.model.formats import limits

PciAddress = NewType("PciAddress", Annotated[str, Meta(max_length=16, pattern=limits.ADDRESS)])
"""``dddd:bb:dd.f`` as ``/sys/bus/pci/devices`` names it."""

_PCI = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", re.IGNORECASE)
_HIGHEST_DEVICE = 0x1F


def parse_pci_address(text: str) -> PciAddress:
    """The address in sysfs's spelling.

    Raises:
        ValueError: ``text`` is not a PCI address.
    """
    match = _PCI.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"PCI address: expected 'dddd:bb:dd.f', got {text!r}")
    domain, bus, device, function = match.groups()
    return PciAddress(f"{int(domain or '0', 16):04x}:{bus.lower()}:{device.lower()}.{function}")


def is_pci_address(text: str) -> bool:
    """Whether ``text`` is spelled as a PCI address."""
    return _PCI.fullmatch(text) is not None


def visible(address: PciAddress) -> PciAddress | None:
    """``address``, or None for the sentinel ``ffffffff:ff:ff.0`` with which a driver hides an NVSwitch.

    No PCI device can have the number 0xff. Seen on every NVLink 5 machine (fixtures/hosts/gb200-nvl72-tray).
    """
    device = int(address.rsplit(":", 1)[1].split(".")[0], 16)
    return address if device <= _HIGHEST_DEVICE else None
