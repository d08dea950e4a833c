"""What ``ibnetdiscover`` prints: every switch, adapter and router of an InfiniBand fabric with its ports.

A cable counts if one of its ends says so. A port that is named but whose own block is missing counts as well.
"""

import re
from collections.abc import Iterator, Mapping, Sized
from typing import Final, NamedTuple

from nvtopo.fabrics import descriptions
from nvtopo.fabrics.fabric import NOTHING, Adapter, End, Fabric, Known, cable

SOURCE: Final = "ibnetdiscover"

MOST_LINES: Final = 4_000_000
_LONGEST_LINE: Final = 2_000

_HEAD: Final = re.compile(
    r"(?P<kind>Switch|Ca|Rt)\s+\d+\s+\"(?P<id>[HSR]-[0-9a-fA-F]{1,16})\"\s*(?:#\s*\"(?P<said>.*)\"(?P<rest>[^\"]*))?\Z"
)
_PORT: Final = re.compile(
    r"\[(?P<port>\d{1,5})\](?:\[ext \d+\])?(?:\([0-9a-fA-F]+\))?\s+"
    r"\"(?P<id>[HSR]-[0-9a-fA-F]{1,16})\"\[(?P<far>\d{1,5})\](?:\[ext \d+\])?(?:\((?P<guid>[0-9a-fA-F]{1,16})\))?\s*"
    r"#[^\"]*\"(?P<said>.*)\"(?P<rest>[^\"]*)\Z"
)
_REPORT: Final = re.compile(
    r"(?P<kind>CA|SW|RT)\s+\d+\s+(?P<port>\d+)\s+0x(?P<id>[0-9a-fA-F]+)\s+\S+\s+\S+(?:\s+-\s+"
    r"(?P<far_kind>CA|SW|RT)\s+\d+\s+(?P<far>\d+)\s+0x(?P<far_id>[0-9a-fA-F]+)\s+\(\s*'(?P<said>.*)'\s+-\s+'(?P<far_said>.*)'\s*\)"
    r"|\s+'(?P<alone>.*)')\s*\Z"
)
_QUIET: Final = re.compile(
    r"#.*|\w+=\S*|Non-Chassis Nodes|Chassis\b.*|(?:Spine|Line|Slot|Leaf)\b.*|DR path\b.*|\s*", re.IGNORECASE
)
_KINDS: Final = {"CA": "H", "SW": "S", "RT": "R"}


class Parsed(NamedTuple):
    """Everything that the lines say."""

    said: Mapping[str, str]
    """Node → its description."""
    blocks: frozenset[str]
    """Nodes with a block of their own."""
    ports: Mapping[str, str]
    """GUID of a port → its adapter."""
    links: tuple[tuple[End, End], ...]
    loops: tuple[End, ...]
    cut: int | None
    """The line in which the text ends too early."""
    unread: tuple[int, ...]
    """Lines that are none of the format."""


def looks_like(text: str) -> bool:
    """Whether it is ibnetdiscover's output, its port report (``-p``) included."""
    return any(
        line.startswith(("caguid=", "switchguid=", "rtguid=")) or _HEAD.match(line) or _REPORT.match(line)
        for line in (line.strip()[:_LONGEST_LINE] for line in text[:200_000].splitlines()[:2_000])
    )


def parse(text: str) -> Parsed:
    """The nodes and cables that the lines name."""
    said: dict[str, str] = {}
    mentioned: dict[str, str] = {}
    blocks: set[str] = set()
    links: set[tuple[End, End]] = set()
    loops: set[End] = set()
    unread: list[int] = []
    ports: dict[str, str] = {}
    own, last = "", 0
    for number, whole in enumerate(text.splitlines()[:MOST_LINES], 1):
        line = whole.strip()[:_LONGEST_LINE]
        last = number if line else last
        if head := _HEAD.match(line):
            own = _key(head["id"])
            blocks.add(own)
            said[own] = head["said"] or ""
        elif (port := _PORT.match(line)) and own:
            far = _key(port["id"])
            mentioned.setdefault(far, port["said"])
            if port["guid"] and far.startswith("H-"):
                ports[f"{port['guid'].lower():0>16}"] = far
            _join(End(own, port["port"]), End(far, port["far"]), links, loops)
        elif report := _REPORT.match(line):
            for end, far_end in _reported(report, said, blocks):
                _join(end, far_end, links, loops)
        elif not _QUIET.fullmatch(line):
            unread.append(number)
    cut = last if unread and unread[-1] == last else None
    return Parsed(
        said={**mentioned, **{key: text or mentioned.get(key, "") for key, text in said.items()}},
        blocks=frozenset(blocks),
        ports=ports,
        links=tuple(sorted(links)),
        loops=tuple(sorted(loops)),
        cut=cut,
        unread=tuple(number for number in unread if number != cut),
    )


def _reported(line: re.Match[str], said: dict[str, str], blocks: set[str]) -> Iterator[tuple[End, End]]:
    """The cable of a line of the port report, if there is one."""
    own = f"{_KINDS[line['kind']]}-{line['id'].lower():0>16}"
    blocks.add(own)
    said[own] = line["alone"] or line["said"] or said.get(own, "")
    if line["far_id"] is not None:
        far = f"{_KINDS[line['far_kind']]}-{line['far_id'].lower():0>16}"
        said.setdefault(far, line["far_said"])
        yield End(own, line["port"]), End(far, line["far"])


def _join(one: End, other: End, links: set[tuple[End, End]], loops: set[End]) -> None:
    if one.key == other.key:
        loops.update((one, other))
    else:
        links.add(cable(one, other))


def _key(text: str) -> str:
    kind, _, guid = text.partition("-")
    return f"{kind}-{guid.lower():0>16}"


def fabric(parsed: Parsed, known: Known = NOTHING) -> Fabric:
    """The fabric, hosts named by their GUIDs where those are known, else by descriptions."""
    switches = {key: text for key, text in parsed.said.items() if key.startswith("S-")}
    missing = [key for key in switches if key not in parsed.blocks]
    channels = {key: text for key, text in parsed.said.items() if key.startswith("H-")}
    unlisted = [key for key in channels if key not in parsed.blocks]
    routers = {key: Adapter("", "", "other", text) for key, text in parsed.said.items() if key.startswith("R-")}
    return Fabric(
        source=SOURCE,
        switches=descriptions.of_switches(switches),
        adapters={**descriptions.adapters(channels, _with_ports(parsed, known)), **routers},
        cables=parsed.links,
        loops=parsed.loops,
        partial=_partial(parsed, _count(missing, switches, "switches"), _count(unlisted, channels, "adapters")),
    )


def _with_ports(parsed: Parsed, known: Known) -> Known:
    """With the adapters of which only the GUID of a port is known."""
    ports = {key[2:]: known.guids[guid] for guid, key in parsed.ports.items() if guid in known.guids}
    return known._replace(guids={**ports, **known.guids})


def _count(missing: Sized, named: Sized, what: str) -> str:
    return f"{len(missing)} of {len(named)} {what}" if missing else ""


def _partial(parsed: Parsed, *missing: str) -> str:
    """Why it does not show everything. A text that ends between two lines shows so by what it names and lists not."""
    lacking = " and ".join(filter(None, missing))
    lacking = f"{lacking} are named but not listed with their ports" if lacking else ""
    if parsed.cut is not None:
        return f"it is cut in line {parsed.cut}" + (f", and {lacking}" if lacking else "")
    return lacking


def refusal(parsed: Parsed) -> str | None:
    """Why nothing of it can be used; None where something can."""
    if not parsed.links:
        return f"expected the ports of switches and adapters, found {len(parsed.blocks)} without any cable"
    switches = {key for key in parsed.said if key.startswith("S-")}
    missing = switches - parsed.blocks
    if missing and parsed.cut is not None and not _hosts(parsed):
        return (
            f"it is cut in line {parsed.cut}: {len(missing)} of {len(switches)} switches are not listed with their"
            " ports, and those that are have no host"
        )
    return None


def _hosts(parsed: Parsed) -> bool:
    """Whether a cable of an adapter is known."""
    return any(end.key.startswith("H-") for link in parsed.links for end in link)
