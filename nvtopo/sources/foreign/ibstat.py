"""``ibstat`` and ``ibstatus``: RDMA devices, their ports, states and rates, without PCI addresses.

The rate of a port that is down is its fallback (40 of a 400 Gb/s port), not its capacity.
"""

import re

from msgspec.structs import replace

from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.records.facts import RdmaDevice, RdmaFacts, RdmaPort
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sources.foreign.given import MOST_DEVICES, Given, Notes

SOURCE = "ibstat"
_CA = re.compile(r"\s*CA '([A-Za-z0-9_.-]{1,64})'\s*")
_DEVICE = re.compile(r"\s*Infiniband device '([A-Za-z0-9_.-]{1,64})' port ([0-9]{1,3}) status:\s*")
_PORT = re.compile(r"\s*Port ([0-9]{1,3}):\s*")
_RATE = re.compile(r"([0-9]{1,5}(?:\.[0-9]{1,3})?)(?: Gb/sec.{0,40})?")
_GIGABIT = 1_000_000_000 // 8
_MOST_FIELDS = 64

Fields = dict[str, str]


def looks_like(given: Given) -> bool:
    """Whether a device's line of either tool is in the text."""
    if "CA '" not in given.text and "Infiniband device '" not in given.text:
        return False
    return any(_CA.fullmatch(line) or _DEVICE.fullmatch(line) for line in given.lines)


def read(given: Given) -> NodeTopology:
    """The node that has these devices.

    Raises:
        ParseError: it names more devices than a node has.
    """
    notes = Notes(SOURCE)
    about, ports = _devices(given.lines)
    if len(about) > MOST_DEVICES:
        raise given.refused(f"{len(about)} devices", "the output of `ibstat` of one node")
    devices = tuple(_device(name, fields, ports.get(name, {}), notes) for name, fields in about.items())
    node = assemble(Snapshot(rdma=RdmaFacts(devices=devices), problems=notes.problems))
    return replace(node, nvlink_hidden=True, unseen=("nics",))  # it lists no NIC without RDMA


def _devices(lines: list[str]) -> tuple[dict[str, Fields], dict[str, dict[int, Fields]]]:
    """What is said of each device, and of each of its ports."""
    about: dict[str, Fields] = {}
    ports: dict[str, dict[int, Fields]] = {}
    name = ""
    current: Fields | None = None
    for line in lines:
        ca, device, port = _CA.fullmatch(line), _DEVICE.fullmatch(line), _PORT.fullmatch(line)
        if ca is not None:
            name, current = ca[1], about.setdefault(ca[1], {})
        elif device is not None:
            name = device[1]
            about.setdefault(name, {})
            current = ports.setdefault(name, {}).setdefault(int(device[2]), {})
        elif port is not None and name:
            current = ports.setdefault(name, {}).setdefault(int(port[1]), {})
        elif current is not None and len(current) < _MOST_FIELDS and ":" in line:
            title, _, value = line[:200].partition(":")
            current.setdefault(title.strip().lower().replace("_", " "), value.strip())
    return about, ports


def _device(name: str, fields: Fields, ports: dict[int, Fields], notes: Notes) -> RdmaDevice:
    stated = fields.get("number of ports", "")
    if stated.isdecimal() and int(stated[:4]) != len(ports):
        notes.add(name, f"has {stated[:4]} ports, {len(ports)} are described: the input is cut")
    elif not ports:
        notes.add(name, "no port is described: the input is cut")
    return RdmaDevice(
        name=name,
        node_guid=fields.get("node guid", ""),
        firmware=fields.get("firmware version", ""),
        ports=tuple(_port(name, number, port, notes) for number, port in sorted(ports.items())),
    )


def _port(name: str, number: int, fields: Fields, notes: Notes) -> RdmaPort:
    """One port. ``ibstat`` writes ``Active``, ``ibstatus`` as sysfs does ``4: ACTIVE``."""
    missing = [field for field in ("state", "rate", "link layer") if field not in fields]
    if missing:
        notes.add(f"{name}/{number}", f"{', '.join(missing)} missing: the input is cut")
    rate = _RATE.fullmatch(fields.get("rate", ""))
    return RdmaPort(
        number=number,
        state=fields.get("state", "").rpartition(": ")[2].upper(),
        physical_state=(fields.get("physical state") or fields.get("phys state") or "").rpartition(": ")[2],
        link_layer=fields.get("link layer", ""),
        rate_bytes_per_second=round(float(rate[1]) * _GIGABIT) or None if rate else None,
    )
