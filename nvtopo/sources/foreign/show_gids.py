"""``show_gids``: the GIDs of RDMA ports, from which follows which one a RoCE job uses."""

import re
from typing import Final, Literal

from nvtopo.model.records.facts import GidEntry, RdmaDevice, RdmaPort
from nvtopo.model.records.node import NodeTopology
from nvtopo.sources.foreign import rdma_node
from nvtopo.sources.foreign.given import Given, Notes

SOURCE: Final = "show_gids"
_TITLE: Final = re.compile(r"\s*DEV\s+PORT\s+INDEX\s+GID\b")
_LINE: Final = re.compile(
    r"\s*([A-Za-z0-9_.-]{1,64})\s{1,20}([0-9]{1,3})\s{1,20}([0-9]{1,4})\s{1,20}((?:[0-9a-f]{4}:){7}[0-9a-f]{4})"
    r"\s{1,60}(?:([0-9.]{7,15})\s{1,40})?(v1|v2|IB/RoCE v1|RoCE v2)(?:\s{1,40}([A-Za-z0-9_.-]{1,64}))?\s*"
)
_TYPES: Final[dict[str, Literal["IB/RoCE v1", "RoCE v2"]]] = {
    "v1": "IB/RoCE v1",
    "IB/RoCE v1": "IB/RoCE v1",
    "v2": "RoCE v2",
    "RoCE v2": "RoCE v2",
}


def looks_like(given: Given) -> bool:
    """Whether the title is in the text."""
    return "GID" in given.text and any(_TITLE.match(line[:200]) for line in given.lines if "INDEX" in line)


def read(given: Given) -> NodeTopology:
    """The node that has these devices; of GIDs with a network device the port is Ethernet.

    Raises:
        ParseError: it names more devices than a node has.
    """
    notes = Notes(SOURCE)
    ports: dict[str, dict[int, dict[int, re.Match[str]]]] = {}
    stated = None
    count = 0
    for line in given.lines:
        match = _LINE.fullmatch(line[:300])
        if match is not None:
            count += 1
            ports.setdefault(match[1], {}).setdefault(int(match[2]), {}).setdefault(int(match[3]), match)
        elif line.startswith("n_gids_found=") and line[13:20].strip().isdecimal():
            stated = int(line[13:20])
    if stated is not None and stated != count:
        notes.add("GIDs", f"{stated} were found, {count} are listed: the input is cut")
    return rdma_node.node(tuple(_device(name, of_device) for name, of_device in ports.items()), SOURCE, given, notes)


def _device(name: str, ports: dict[int, dict[int, re.Match[str]]]) -> RdmaDevice:
    netdevs = (line[7] for lines in ports.values() for line in lines.values() if line[7])
    return RdmaDevice(
        name=name,
        netdevs=tuple(dict.fromkeys(netdevs)),
        ports=tuple(
            RdmaPort(
                number=number,
                link_layer="Ethernet" if any(line[7] for line in lines.values()) else "",
                gids=tuple(
                    GidEntry(index=index, gid=line[4], type=_TYPES[line[6]], netdev=line[7] or None)
                    for index, line in sorted(lines.items())
                ),
            )
            for number, lines in sorted(ports.items())
        ),
    )
