"""The columns behind the cells of ``nvidia-smi topo -m``: CPU affinity, NUMA affinity, GPU NUMA ID.

Old drivers print the first alone, since driver 460 the second, since 545 all three; people leave some out. Any can be
empty: the tool prints tabs then, of which a terminal makes blanks, so that only their number says which one it was.
"""

import re
from typing import Final, NamedTuple

_NUMBERS: Final = re.compile(r"[0-9]{1,5}(?:-[0-9]{1,5})?(?:,[0-9]{1,5}(?:-[0-9]{1,5})?)*")
_GLUED_ABSENT: Final = re.compile(r"(?<=[0-9])N/A")
_WORD: Final = re.compile(r"\S+")
_ABSENT: Final = "N/A"
_TAB_STOP: Final = 8
#: Where a line that a terminal wrapped goes on: in the middle of a word, or at blanks that were lost.
SEAM: Final = "\u2063"
#: A driver's tool keeps so many characters of a CPU list: ``0,2,4,6,8,10`` of 0,2,4,…,62.
_KEPT: Final = 12

CPUS: Final = "cpus"
NUMA: Final = "numa"
MEMORY: Final = "memory"
_TITLES: Final = re.compile(
    r"(GPU ?NUMA ?(?:ID)?)|(NUMA(?: ?Affinity| ?Node)?|Node ?Affinity)|(CPUs?(?: ?Affinity)?)", re.IGNORECASE
)


class Columns(NamedTuple):
    """Which of the columns a header has, in its order, and where their titles begin in the line."""

    kinds: tuple[str, ...]
    starts: tuple[int, ...]

    @classmethod
    def of(cls, titles: str, begin: int) -> "Columns":
        """From the rest of a header, which begins at a column; a cut header says nothing, and has all three."""
        found = {
            (MEMORY if match[1] else NUMA if match[2] else CPUS): begin + match.start()
            for match in _TITLES.finditer(titles)
        }
        if not found:
            return ALL
        return cls(tuple(found), tuple(found.values()))


ALL: Final = Columns((CPUS, NUMA, MEMORY), ())


class Affinity(NamedTuple):
    """What a GPU's row says behind its cells; empty where it says nothing."""

    cpus: str = ""
    numa: str = ""
    memory: str = ""


NO_AFFINITY: Final = Affinity()


def is_cut(cpus: str) -> bool:
    """Whether the tool has kept a part of a CPU list only: single numbers, and no room for one more."""
    numbers = cpus.split(",")
    return len(numbers) > 2 and "-" not in cpus and len(cpus) <= _KEPT < len(cpus) + 1 + len(numbers[-1])  # noqa: PLR2004


def read_affinity(tail: str, at: int | None, columns: Columns) -> Affinity | None:
    """The affinity in a row's tail, which begins at a column of its line.

    None where it is something else, or can be two things.
    """
    if SEAM not in tail:
        return _affinity(tail, at, columns)
    whole, parted = tail.replace(SEAM, ""), tail.replace(SEAM, " ")
    for text in (whole, parted):
        complete = len(_unglued(text.split())) == len(columns.kinds)
        if complete and (found := _affinity(text, None, columns)) is not None:
            return found
    found = _affinity(whole, None, columns)
    return found if found == _affinity(parted, None, columns) else None


def _affinity(tail: str, at: int | None, columns: Columns) -> Affinity | None:
    cells = _cells(tail, at, columns)
    if cells is None or any(cell and not _NUMBERS.fullmatch(cell) for cell in cells):
        return None
    return Affinity(**dict(zip(columns.kinds, cells, strict=False)))


def _cells(tail: str, at: int | None, columns: Columns) -> list[str] | None:
    """One text for each column, empty for an empty one; None where the words can stand in several."""
    words = _unglued(tail.split())
    if len(words) >= len(columns.kinds):
        return [_said(word) for word in words[: len(columns.kinds)]]
    if tail.lstrip(" ").startswith("\t"):
        return _fields([field.strip() for field in tail.split("\t")[1:]], columns)
    placed = None
    if at is not None and words:
        placed = _by_title(tail, at, columns) or _by_tab_stop(tail, at, columns) or _by_gaps(tail, columns)
    return placed if placed is not None else _by_look([_said(word) for word in words], columns)


def _said(word: str) -> str:
    return "" if word == _ABSENT else word


def _fields(fields: list[str], columns: Columns) -> list[str]:
    """The fields between tabs; before the last column the tool prints two."""
    said = [_said(field) for field in fields]
    if columns.kinds[-1:] != (MEMORY,):
        return said[: len(columns.kinds)]
    first = len(columns.kinds) - 1
    return [*said[:first], next((field for field in said[first:] if field), "")]


def _by_title(tail: str, at: int, columns: Columns) -> list[str] | None:
    """By the titles below which the words stand, where each stands below one."""
    found = [""] * len(columns.kinds)
    for match in _WORD.finditer(tail):
        place = next((n for n, start in enumerate(columns.starts) if abs(at + match.start() - start) <= 1), None)
        if place is None:
            return None
        found[place] = _said(match[0])
    return found


def _by_tab_stop(tail: str, at: int, columns: Columns) -> list[str] | None:
    """By the tab stops that a terminal has passed between the words, where all begin at one."""
    fields: list[str] = []
    end = at
    for match in _WORD.finditer(tail):
        start = at + match.start()
        if start % _TAB_STOP:
            return None
        fields += [""] * (start // _TAB_STOP - end // _TAB_STOP - 1) + [match[0]]
        end = at + match.end()
    return _fields(fields, columns)


def _by_gaps(tail: str, columns: Columns) -> list[str] | None:
    """By the blanks between the words, where each tab became as many; two tabs stand before the last column."""
    found = list(_WORD.finditer(tail))
    if len(found) != len(columns.kinds) - 1 or columns != ALL._replace(starts=columns.starts):
        return None
    first, second = found[0].start(), found[1].start() - found[0].end()
    words = [_said(match[0]) for match in found]
    if first == second and first > 1:
        return ["", *words]
    return [words[0], "", words[1]] if first > 1 and second == 3 * first else None


def _by_look(said: list[str], columns: Columns) -> list[str] | None:
    """Where nothing shows the place: from the left, if the first can't be a NUMA node's number."""
    told = [word for word in said if word]
    if len(told) == 1 and columns.kinds[0] == CPUS and told[0].isdecimal() and len(columns.kinds) > 1:
        return None
    return told


def _unglued(words: list[str]) -> list[str]:
    """``0-89 0N/A`` is three cells, and so is ``90-1791N/A``, whose NUMA node has one digit."""
    for position, word in enumerate(words):
        if _GLUED_ABSENT.search(word):
            number = word.removesuffix(_ABSENT)
            parts = [number] if position else [number[:-1].rstrip(",-"), number[-1]]
            return [*words[:position], *(part for part in parts if part), _ABSENT, *words[position + 1 :]]
    return words
