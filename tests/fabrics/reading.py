"""Reads a text as ``nvtopo graph --from`` does, and says what came of it."""

from collections.abc import Mapping

from nvtopo.cluster.claims import Reading
from nvtopo.fabrics import recognise
from nvtopo.fabrics.fabric import NOTHING, Known


def read(text: str, known: Known = NOTHING, name: str = "host") -> Reading:
    """What one file says."""
    (reading,) = read_files({name: text}, known).values()
    return reading


def read_files(files: Mapping[str, str], known: Known = NOTHING) -> dict[str, Reading]:
    """What several files say, by name → text."""
    parts = [part for name, text in files.items() for part in recognise.parts(recognise.Given(name, text))]
    return recognise.read(parts, known)


def partition(reading: Reading, tier: str = "leaf") -> set[frozenset[str]]:
    """The sets of nodes that a tier makes."""
    assert reading.refused is None
    groups: dict[str, set[str]] = {}
    for claim in reading.claims:
        if claim.tier == tier:
            groups.setdefault(claim.id, set()).add(claim.node)
    return {frozenset(nodes) for nodes in groups.values()}


def absent(reading: Reading) -> set[frozenset[str]]:
    """The cables that should be there."""
    return {frozenset((cable.a, cable.b)) for cable in reading.cables if not cable.present}


def evidence(reading: Reading) -> list[str]:
    return [finding.reason for finding in reading.findings]
