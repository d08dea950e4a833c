"""Topology files of ibutils, ``ibdiagnet`` and UFM's cable validation: how a fabric should be cabled.

A section for each system, its type and name first, and below it a line for each cable: ``P2 -4x-50G-> HCA_mlx5_3 gpu04
mlx5_0/P1`` (ibdm-topo-file(1)). A cable may stand at one of its ends or at both.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from nvtopo.fabrics.expected import Expected
from nvtopo.fabrics.refused import Refused

_MOST_LINES: Final = 4_000_000
_LONGEST_LINE: Final = 2_000
#: How far into a text its first cable is looked for.
_HEAD_CHARACTERS: Final = 20_000
_WORD: Final = r"[^\s{}\[\]\"';:,=#]{1,256}"
_CABLE: Final = re.compile(
    rf"\s*(?P<port>{_WORD})\s+-(?:\d+x-[\d.]+G?-)?>\s+(?P<kind>{_WORD})\s+(?P<name>{_WORD})\s+(?P<far>{_WORD})\s*\Z"
)
_SYSTEM: Final = re.compile(rf"(?P<kind>{_WORD})\s+(?P<name>{_WORD})(?:\s+CFG:.*)?\s*\Z")
_PORT: Final = re.compile(r"P(\d{1,5})\Z")
#: A port that an adapter has, by its name; units and boards of a switch are no adapters.
_OF_ADAPTER: Final = re.compile(r"(?P<nic>(?!(?:[ULS]\d|(?:spine|leaf|line)\d))[^/]+)/P\d{1,3}\Z", re.IGNORECASE)
#: Types of systems that are adapters: as UFM calls them, and the first InfiniBand adapters by their chips.
_ADAPTERS: Final = re.compile(r"HCA|MT2\d{4}\Z")


class _End(NamedTuple):
    kind: str
    name: str
    port: str

    @property
    def is_host(self) -> bool:
        return bool(_ADAPTERS.match(self.kind) or _OF_ADAPTER.match(self.port))

    @property
    def nic(self) -> str:
        """Empty where the file does not name it."""
        found = _OF_ADAPTER.match(self.port)
        return found["nic"] if found else ""

    @property
    def number(self) -> str:
        """As the fabric counts its ports; empty for one that the front panel names otherwise."""
        found = _PORT.match(self.port)
        return found[1] if found else ""


def looks_like(text: str) -> bool:
    """Whether it is one: a system, and the first cable right below it."""
    above = ""
    for line in _lines(text[:_HEAD_CHARACTERS]):
        if _CABLE.match(line):
            return _SYSTEM.match(above) is not None
        above = line
    return False


def read(text: str) -> list[Expected]:
    """The cables that should be there.

    Raises:
        Refused: a line is none of the format, or there is no cable of a switch.
    """
    found = dict.fromkeys(cable for one, other in _cables(text) for cable in _expected(one, other))
    if not found:
        raise Refused("expected cables between a switch and another system, found none")
    return list(found)


def _cables(text: str) -> Iterator[tuple[_End, _End]]:
    system: tuple[str, str] | None = None
    for number, whole in enumerate(text.splitlines()[:_MOST_LINES], 1):
        line = whole[:_LONGEST_LINE].partition("#")[0].strip()
        if not line:
            continue
        if cable := _CABLE.match(line):
            if system is None:
                raise Refused(f"expected a system ('TYPE NAME') above the cable in line {number}, found none")
            yield _End(*system, cable["port"]), _End(cable["kind"], cable["name"], cable["far"])
        elif head := _SYSTEM.match(line):
            system = (head["kind"], head["name"])
        else:
            raise Refused(f"expected a system ('TYPE NAME') or a cable ('PORT -> TYPE NAME PORT') in line {number}")


def _expected(one: _End, other: _End) -> Iterator[Expected]:
    """One cable, the same whichever end names it; one between two hosts says nothing of a switch."""
    if one.is_host and other.is_host:
        return
    if not one.is_host and not other.is_host:
        first, second = sorted((one.name, other.name))
        if first != second:
            yield Expected("", "", first, "", second)
        return
    host, switch = (one, other) if one.is_host else (other, one)
    yield Expected(host.name, host.nic, switch.name, switch.number, "")


def _lines(text: str) -> Iterator[str]:
    lines = (line.partition("#")[0].strip()[:_LONGEST_LINE] for line in text.splitlines())
    return (line for line in lines if line)
