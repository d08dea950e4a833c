"""RDMA devices: ``/sys/class/infiniband``.

Counters are not read here: on a GPU board's own management functions that floods the kernel log, so these are told
apart by their VPD and left alone.
"""

import re
from typing import Literal, cast

from nvtopo.model.facts import GidEntry, RdmaDevice, RdmaFacts, RdmaPort
from nvtopo.sources.machine import Machine, Reading
from nvtopo.sources.sysfs import SysfsReader

NAME = "rdma"

_CLASS = "/sys/class/infiniband"
_RATE = re.compile(r"(\d+(?:\.\d+)?) Gb/sec")
_GIGABIT = 1_000_000_000 // 8
_EMPTY_GID = "0000:0000:0000:0000:0000:0000:0000:0000"
#: What a ConnectX that manages the board's NVSwitches says of itself in its vital product data.
_SWITCH_MANAGEMENT = b"SMDL=SW_MNG"


def read(machine: Machine) -> Reading:
    """Every RDMA device; None where the kernel has none."""
    reader = SysfsReader(machine.root, NAME)
    devices = tuple(_device(reader, name) for name in reader.names(_CLASS))
    return Reading(RdmaFacts(devices=devices) if devices else None, tuple(reader.problems))


def _device(reader: SysfsReader, name: str) -> RdmaDevice:
    path = f"{_CLASS}/{name}"
    management = _SWITCH_MANAGEMENT in (reader.content(f"{path}/device/vpd") or b"")
    return RdmaDevice(
        name=name,
        pci_address=reader.pci_function(path) or reader.pci_function(f"{path}/device"),
        node_guid=reader.text(f"{path}/node_guid") or "",
        firmware=reader.text(f"{path}/fw_ver") or "",
        netdevs=tuple(reader.names(f"{path}/device/net")),
        ports=() if management else _ports(reader, path),
        management=management,
    )


def _ports(reader: SysfsReader, path: str) -> tuple[RdmaPort, ...]:
    numbers = sorted(int(name) for name in reader.names(f"{path}/ports") if name.isdecimal())
    return tuple(_port(reader, f"{path}/ports/{number}", number) for number in numbers)


def _port(reader: SysfsReader, path: str, number: int) -> RdmaPort:
    return RdmaPort(
        number=number,
        state=_word(reader.text(f"{path}/state")),
        physical_state=_word(reader.text(f"{path}/phys_state")),
        link_layer=reader.text(f"{path}/link_layer") or "",
        rate_bytes_per_second=_rate(reader, f"{path}/rate"),
        gids=_gids(reader, path),
    )


def _word(text: str | None) -> str:
    """``ACTIVE`` from ``4: ACTIVE``."""
    return (text or "").partition(": ")[2]


def _rate(reader: SysfsReader, path: str) -> int | None:
    text = reader.text(path)
    if not text:
        return None
    match = _RATE.match(text)
    if match is None:
        reader.problem(path, f"expected '<n> Gb/sec …', got {text[:40]!r}")
        return None
    return round(float(match[1]) * _GIGABIT) or None


def _gids(reader: SysfsReader, path: str) -> tuple[GidEntry, ...]:
    """The filled rows of the GID table; an empty row's type and netdev give EINVAL by design."""
    indices = sorted(int(name) for name in reader.names(f"{path}/gids") if name.isdecimal())
    entries = []
    for index in indices:
        gid = reader.text(f"{path}/gids/{index}")
        if gid and gid != _EMPTY_GID:
            entries.append(_gid(reader, path, index, gid))
    return tuple(entries)


def _gid(reader: SysfsReader, path: str, index: int, gid: str) -> GidEntry:
    kind = reader.text(f"{path}/gid_attrs/types/{index}")
    known = cast("Literal['IB/RoCE v1', 'RoCE v2']", kind) if kind in ("IB/RoCE v1", "RoCE v2") else None
    return GidEntry(index=index, gid=gid, type=known, netdev=reader.text(f"{path}/gid_attrs/ndevs/{index}") or None)
