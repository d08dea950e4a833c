"""``rdma link`` of iproute2: RDMA ports, their states and network devices."""

import re
from typing import Final

from nvtopo.model.records.facts import RdmaDevice, RdmaPort
from nvtopo.model.records.node import NodeTopology
from nvtopo.sources.foreign import rdma_node
from nvtopo.sources.foreign.given import Given, Notes

SOURCE: Final = "rdma link"
_LINE: Final = re.compile(
    r"(?:[0-9]{1,4}/[0-9]{1,3}: |[0-9]{1,4}: )?link ([A-Za-z0-9_.-]{1,64})/([0-9]{1,3}) (.{1,400})"
)
_STATE: Final = re.compile(r"\bstate ([A-Z_]{1,20})\b")
_PHYSICAL: Final = re.compile(r"\bphysical_state ([A-Z_]{1,20})\b")
_NETDEV: Final = re.compile(r"\bnetdev ([A-Za-z0-9_.-]{1,64})")


def looks_like(given: Given) -> bool:
    """Whether a port's line is in the text."""
    return "link " in given.text and any(_is_port(line) for line in given.lines if "state " in line)


def _is_port(line: str) -> bool:
    match = _LINE.match(line[:600])
    return match is not None and _STATE.search(match[3]) is not None


def read(given: Given) -> NodeTopology:
    """The node that has these devices.

    Raises:
        ParseError: it names more devices than a node has.
    """
    ports: dict[str, dict[int, str]] = {}
    for line in given.lines:
        match = _LINE.match(line[:600]) if "state " in line else None
        if match is not None:
            ports.setdefault(match[1], {}).setdefault(int(match[2]), match[3])
    devices = tuple(_device(name, of_device) for name, of_device in ports.items())
    return rdma_node.node(devices, SOURCE, given, Notes(SOURCE))


def _device(name: str, ports: dict[int, str]) -> RdmaDevice:
    netdevs = (found[1] for said in ports.values() if (found := _NETDEV.search(said)))
    return RdmaDevice(
        name=name,
        netdevs=tuple(dict.fromkeys(netdevs)),
        ports=tuple(
            RdmaPort(
                number=number,
                state=_found(_STATE, said),
                physical_state=_found(_PHYSICAL, said),
                link_layer="InfiniBand" if "subnet_prefix " in said else "Ethernet" if "netdev " in said else "",
            )
            for number, said in sorted(ports.items())
        ),
    )


def _found(pattern: re.Pattern[str], said: str) -> str:
    match = pattern.search(said)
    return match[1] if match else ""
