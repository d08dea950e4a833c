"""Gives QEMU's devices the identity of others.

No QEMU device but vfio takes another vendor and device id. So the machine is stopped, each device's config space is
found in QEMU's own memory by how it begins, and what the device says of itself is written over it: ids, class,
revision, subsystem, and the PCIe link it has. The guest then reads it as it would from hardware.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final

from tests.vm.layout import Look, Signature

_CONFIG_BYTES: Final = 256
#: Larger areas are the guest's memory and frame buffers.
_LARGEST_AREA: Final = 48 << 20

_REVISION, _CLASS, _HEADER_TYPE, _SUBSYSTEM, _CAPABILITIES = 0x08, 0x09, 0x0E, 0x2C, 0x34
_PCIE: Final = 0x10
_LINK_CAPABILITIES, _LINK_STATUS, _LINK_CAPABILITIES_2 = 12, 18, 44
_SPEED_AND_WIDTH: Final = 0x3FF
#: Of the PCIe capability: the first that has the second set of registers.
_SECOND_VERSION: Final = 2


def disguise(pid: int, looks: Mapping[Signature, Look]) -> int:
    """Writes the looks into the stopped QEMU process; how many devices got one."""
    count = 0
    with Path(f"/proc/{pid}/mem").open("r+b", buffering=0) as memory:
        for start, size in _areas(pid):
            count += _disguise_area(memory, start, size, looks)
    return count


def _areas(pid: int) -> Iterator[tuple[int, int]]:
    """Start and size of the process's own writable memory."""
    for line in Path(f"/proc/{pid}/maps").read_text(encoding="ascii").splitlines():
        fields = line.split()
        name = fields[5] if len(fields) > 5 else ""
        start, end = (int(number, 16) for number in fields[0].split("-"))
        if fields[1].startswith("rw") and not name.startswith("/") and (name or end - start <= _LARGEST_AREA):
            yield start, end - start


def _disguise_area(memory: IO[bytes], start: int, size: int, looks: Mapping[Signature, Look]) -> int:
    try:
        memory.seek(start)
        content = memory.read(size)
    except OSError:
        return 0  # [vvar] and its like are listed and cannot be read
    count = 0
    for signature, look in looks.items():
        for match in re.finditer(re.escape(struct.pack("<HH", signature.vendor, signature.device)), content):
            config = bytearray(content[match.start() : match.start() + _CONFIG_BYTES])
            if match.start() % 8 == 0 and _is_config(config, signature):
                _write(config, look)
                memory.seek(start + match.start())
                memory.write(config)
                count += 1
    return count


def _is_config(config: bytearray, signature: Signature) -> bool:
    """A boot ROM begins alike, and has no capabilities."""
    pci_class = int.from_bytes(config[_CLASS : _CLASS + 3], "little")
    return len(config) == _CONFIG_BYTES and pci_class == signature.pci_class and _capability(config, _PCIE) != 0


def _write(config: bytearray, look: Look) -> None:
    struct.pack_into("<HH", config, 0, look.vendor, look.device)
    config[_REVISION] = look.revision
    config[_CLASS : _CLASS + 3] = look.pci_class.to_bytes(3, "little")
    if look.subsystem is not None and config[_HEADER_TYPE] & 0x7F == 0:
        struct.pack_into("<HH", config, _SUBSYSTEM, *look.subsystem)
    pcie = _capability(config, _PCIE)
    link = look.generation | look.width << 4
    _masked(config, "<I", pcie + _LINK_CAPABILITIES, _SPEED_AND_WIDTH, link)
    _masked(config, "<H", pcie + _LINK_STATUS, _SPEED_AND_WIDTH, link)
    if config[pcie + 2] & 0xF >= _SECOND_VERSION and pcie + _LINK_CAPABILITIES_2 + 4 <= _CONFIG_BYTES:
        _masked(config, "<I", pcie + _LINK_CAPABILITIES_2, 0xFE, ((1 << look.generation) - 1) << 1)


def _capability(config: bytearray, wanted: int) -> int:
    """The offset of a capability; 0 where the device has none of that kind."""
    at = config[_CAPABILITIES] & 0xFC
    for _ in range(48):
        if at == 0 or config[at] == wanted:
            return at
        at = config[at + 1] & 0xFC
    return 0


def _masked(config: bytearray, form: str, at: int, mask: int, bits: int) -> None:
    (value,) = struct.unpack_from(form, config, at)
    struct.pack_into(form, config, at, value & ~mask | bits)
