"""``ibdev2netdev``: the network device of an RDMA device's port, and whether it is up; with ``-v`` its address too."""

import re
from typing import Final

from nvtopo.model.formats.address import parse_pci_address
from nvtopo.model.records.node import Nic, NicPort, NodeTopology
from nvtopo.sources.foreign.given import MOST_DEVICES, Given

SOURCE: Final = "ibdev2netdev"
_LINE: Final = re.compile(
    r"(?:([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]) )?([A-Za-z0-9_.-]{1,64}) (?:\(.{1,160})?port ([0-9]{1,3})"
    r" (?:\((\w{1,20})\s{0,8}\) )?==> ([A-Za-z0-9_.-]{1,64}) \((\w{1,20})\)\s*"
)


def looks_like(given: Given) -> bool:
    """Whether a port's line is in the text."""
    return "==>" in given.text and any(_LINE.fullmatch(line[:400]) for line in given.lines if " ==> " in line)


def read(given: Given) -> NodeTopology:
    """The node that has these devices.

    Raises:
        ParseError: it names more devices than a node has.
    """
    found = [match for line in given.lines if " ==> " in line and (match := _LINE.fullmatch(line[:400]))]
    if len(found) > MOST_DEVICES:
        raise given.refused(f"{len(found)} ports", "the output of `ibdev2netdev` of one node")
    lines: dict[str, list[re.Match[str]]] = {}
    for match in found:
        lines.setdefault(match[2], []).append(match)
    nics = tuple(_nic(name, ports) for name, ports in lines.items())
    return NodeTopology(nics=nics, nvlink_hidden=True, unseen=("nics",))


def _nic(name: str, lines: list[re.Match[str]]) -> Nic:
    return Nic(
        name=name,
        pci_address=parse_pci_address(lines[0][1]) if lines[0][1] else None,
        netdevs=tuple(dict.fromkeys(line[5] for line in lines)),
        operstate=lines[0][6].lower(),
        ports=tuple(
            NicPort(number=number, state=(line[4] or "").upper())
            for number, line in sorted({int(line[3]): line for line in reversed(lines)}.items())
        ),
    )
