"""The columns behind the cells of ``nvidia-smi topo -m``: CPU affinity, NUMA affinity, GPU NUMA ID.

Old drivers print the first alone, since driver 460 the second, since 545 all three. Any of them can be empty.
"""

import re
from typing import NamedTuple

_NUMBERS = re.compile(r"[0-9]{1,5}(?:-[0-9]{1,5})?(?:,[0-9]{1,5}(?:-[0-9]{1,5})?)*")
_GLUED_ABSENT = re.compile(r"(?<=[0-9])N/A")
_ABSENT = "N/A"
#: Where a line that a terminal wrapped goes on: in the middle of a word, or at blanks that were lost.
SEAM = "\u2063"


class Affinity(NamedTuple):
    """What a GPU's row says behind its cells; empty where it says nothing."""

    cpus: str = ""
    numa: str = ""
    memory: str = ""


NO_AFFINITY = Affinity()


def read_affinity(tail: str, columns: str) -> Affinity | None:
    """The affinity in a row's tail under these columns; None where it is something else, or can be two things."""
    count = _count(columns)
    if SEAM not in tail:
        return _affinity(tail, count)
    whole, parted = tail.replace(SEAM, ""), tail.replace(SEAM, " ")
    for text in (whole, parted):
        if len(_unglued(text.split())) == count and (found := _affinity(text, count)) is not None:
            return found
    found = _affinity(whole, count)
    return found if found == _affinity(parted, count) else None


def _affinity(tail: str, count: int) -> Affinity | None:
    cells = ["" if cell == _ABSENT else cell for cell in _cells(tail, count)]
    if any(cell and not _NUMBERS.fullmatch(cell) for cell in cells):
        return None
    return Affinity(*cells)


def _count(columns: str) -> int:
    """How many of the columns the header has; a cut header says nothing about them."""
    return 3 if "GPUN" in columns or not columns else 2 if "NUMA" in columns else 1


def _cells(tail: str, count: int) -> list[str]:
    """Tabs keep empty cells in their place; without tabs numbers fill from the left and N/A from the right."""
    words = _unglued(tail.split())
    if len(words) >= count:
        return words[:count]
    if tail.lstrip(" ").startswith("\t"):
        fields = [field.strip() for field in tail.split("\t")[1:]]
        rest = next((field for field in fields[2:] if field), "")
        return [*fields[:2], rest][:count]
    return [word for word in words if word != _ABSENT]


def _unglued(words: list[str]) -> list[str]:
    """``0-89 0N/A`` is three cells, and so is ``90-1791N/A``, whose NUMA node has one digit."""
    for position, word in enumerate(words):
        if _GLUED_ABSENT.search(word):
            number = word.removesuffix(_ABSENT)
            parts = [number] if position else [number[:-1].rstrip(",-"), number[-1]]
            return [*words[:position], *(part for part in parts if part), _ABSENT, *words[position + 1 :]]
    return words
