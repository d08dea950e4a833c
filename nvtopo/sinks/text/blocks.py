"""A matrix that is too wide for its terminal, in blocks below each other: GPUs, NICs, drives, affinity."""

import re
from itertools import groupby
from typing import Final, NamedTuple


class Cell(NamedTuple):
    """A text, and the look that a terminal gives it."""

    text: str
    look: str = ""


Cells = list[list[Cell]]

_NUMBER: Final = re.compile("[0-9]+$")
_GAP: Final = 2


def blocks(cells: Cells, widths: list[int], columns: int) -> list[Cells]:
    """The table in tables no wider than ``columns``, each with the row labels. Columns of one kind stay together."""
    found: list[list[int]] = [[]]
    room = columns - widths[0]
    for kind in _kinds(cells[0]):
        if found[-1] and sum(widths[column] + _GAP for column in kind) > room:
            found.append([])
            room = columns - widths[0]
        for column in kind:
            if found[-1] and widths[column] + _GAP > room:
                found.append([])
                room = columns - widths[0]
            found[-1].append(column)
            room -= widths[column] + _GAP
    return [[[row[0], *(row[column] for column in chosen)] for row in cells] for chosen in found]


def _kinds(header: list[Cell]) -> list[list[int]]:
    """Columns by kind: GPU0, GPU1, … are one, and so are the affinities, which end in no number."""
    numbered = enumerate(header[1:], 1)
    return [[column for column, _ in same] for _, same in groupby(numbered, key=lambda item: _kind(item[1].text))]


def _kind(name: str) -> str:
    return _NUMBER.sub("", name) if _NUMBER.search(name) else ""
