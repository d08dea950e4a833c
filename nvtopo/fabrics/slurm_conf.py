"""``topology.conf`` of Slurm: a tree of switches, blocks, or rings, one of them in a file."""

import re
from collections.abc import Iterator
from typing import Final

from nvtopo.cluster.claims import Reading
from nvtopo.fabrics import slurm
from nvtopo.fabrics.refused import Refused
from nvtopo.fabrics.slurm import Block, Switch

_LOOKS: Final = re.compile(r"^[ \t]*(?:SwitchName|BlockName|BlockSizes|RingName)[ \t]*=", re.IGNORECASE | re.MULTILINE)
_PAIR: Final = re.compile(r"\s*+(\w++)\s*+=\s*+(?:\"([^\"]*+)\"|(\S++))")
_INCLUDE: Final = re.compile(r"include\s", re.IGNORECASE)
#: What a line starts with → what else it may say.
_KEYS: Final = {
    "switchname": {"nodes", "switches", "linkspeed"},
    "blockname": {"nodes"},
    "blocksizes": set[str](),
    "ringname": {"nodes"},
}


def looks_like(text: str) -> bool:
    """Whether it has a line of a topology."""
    return _LOOKS.search(text) is not None


def read(text: str) -> Reading:
    """What it says.

    Raises:
        Refused: Slurm would refuse it.
    """
    lines = list(lines_of(text))
    kinds = {first.partition("name")[0] for first, _ in lines if first != "blocksizes"}
    if len(kinds) > 1:
        raise Refused(f"expected one kind of topology in a file, got {' and '.join(sorted(kinds))}")
    if "switch" in kinds:
        if any(first == "blocksizes" for first, _ in lines):
            raise Refused("expected BlockSizes with blocks, got them with switches")
        switches = [
            Switch(pairs["switchname"], pairs.get("nodes", ""), pairs.get("switches", "")) for _, pairs in lines
        ]
        return slurm.of_tree(switches, slurm.SOURCE)
    blocks = [Block(pairs[first], pairs.get("nodes", "")) for first, pairs in lines if first != "blocksizes"]
    if "ring" in kinds:
        return slurm.of_rings(blocks, slurm.SOURCE)
    return slurm.of_blocks(blocks, sizes_of(pairs for first, pairs in lines if first == "blocksizes"), slurm.SOURCE)


def sizes_of(lines: Iterator[dict[str, str]]) -> list[int]:
    """The BlockSizes of all lines that say some.

    Raises:
        Refused: one is no number.
    """
    found: list[int] = []
    for pairs in lines:
        for part in pairs["blocksizes"].split(","):
            if not part.isdecimal():
                raise Refused(f"expected BlockSizes such as 18,36, got {pairs['blocksizes']!r}")
            found.append(int(part[:9]))
    return found


def lines_of(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The first key of each line, and all of its keys.

    Raises:
        Refused: a line is none of ``topology.conf``.
    """
    for number, line in _joined(text):
        if _INCLUDE.match(line):
            raise Refused(f"line {number}: expected the whole topology in one file, got {line!r}")
        pairs: dict[str, str] = {}
        end = 0
        while pair := _PAIR.match(line, end):  # searching for the next one would take hours of a line of a megabyte
            pairs[pair[1].lower()] = pair[2] if pair[2] is not None else pair[3]
            end = pair.end()
        if line[end:].strip():
            raise Refused(f"line {number}: expected Key=Value, got {line[end:].strip()[:60]!r}")
        first = next(iter(pairs))
        unknown = [key for key in pairs if key != first and key not in _KEYS.get(first, ())]
        if first not in _KEYS or unknown:
            raise Refused(f"line {number}: expected a key of topology.conf, got {(unknown or [first])[0]!r}")
        yield first, pairs


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, those that a backslash ends joined to the next."""
    begun, before = 0, ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.partition("#")[0].rstrip()
        begun = begun or number
        if line.endswith("\\"):
            before += line[:-1] + " "
            continue
        whole = (before + line).strip()
        if whole:
            yield begun, whole
        begun, before = 0, ""
    if before.strip():
        yield begun, before.strip()
