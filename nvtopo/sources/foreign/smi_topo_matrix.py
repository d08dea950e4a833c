"""Finds the matrix of ``nvidia-smi topo -m`` in a text, however logs, terminals and trackers have mangled it.

Columns are separated by tabs, or by blanks where a terminal expanded them; device names longer than seven characters
then touch their neighbours (``NIC16NIC17``, ``SYSSYS``). Lines wrap at the terminal's width, in the middle of a word.
The diagonal ``X`` proves that no cell of a row was lost.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from nvtopo.sources.foreign.given import MOST_DEVICES, Given, Notes
from nvtopo.sources.foreign.smi_topo_affinity import SEAM, Columns

SOURCE = "nvidia-smi topo"

_FIRST_GPU = re.compile(r"(?<![A-Za-z0-9_])GPU[0-9]{1,4}")
_GLUED = re.compile(r"(?:GPU|NIC|NVMe)[0-9]{1,4}|mlx[0-9]_(?:bond_)?[0-9]{1,3}")
_DEVICE = re.compile(r"(?!(?:GPU|NIC|NVMe)[0-9])[A-Za-z][A-Za-z0-9_.-]{0,63}")
_CELL = re.compile(
    r"\s*(X(?=\s|$|NV|NODE|S[YO]|P[HXI])|NV[0-9]{1,2}|NODE|SYS|SOC|PHB|PXB|PIX|\?|[A-Z][A-Za-z0-9]{0,7})"
)
_SURE_CELL = re.compile(
    r"\s*(?:X(?=\s|$|NV|NODE|S[YO]|P[HXI])|NV[0-9]|NODE|SYS|SOC|PHB|PXB|PIX|\?|(?:OK|[CGT]NS)(?=\s|$))"
)
#: Words that are no part of a longer one, also where cells lost the blank between them.
_WHOLE = re.compile(r".*(?:X|NODE|SYS|SOC|PHB|PXB|PIX|N/A)")
_PART_OF_CELL = re.compile(r"N|NO|NOD|NV[0-9]{0,2}|S|SY|P|PH|PI|PX")
_WORD = re.compile(r"\S+")
#: What the rest of a wrapped row can consist of.
_CONTINUED = re.compile(r"[\sXNVODESYHPBIC0-9,/A?-]*[0-9A-Z?][\sXNVODESYHPBIC0-9,/A?-]*")
#: A log's prefix before a row: time stamp, level, pod, stream.
_MOST_PREFIX_WORDS = 12
_MOST_WRAPS = 64
#: A row of 16 GPUs and 64 NICs has 700 characters.
_LONGEST_LINE = 1 << 12
#: A header of 16 GPUs and 64 NICs at 80 columns wraps into as many lines.
_MOST_HEADERS = 8
#: What stands before a line that a log quotes.
_QUOTES = "\"'`"
#: So many bars in a line make it a row of a Markdown table; its rule says nothing.
_MARKDOWN_CELLS = 3
_MARKDOWN_RULE = re.compile(r"[\s|:-]*-{2}[\s|:-]*")
_EMPHASIS = re.compile(r"(?<![A-Za-z0-9])[*]{1,3}(?=[A-Za-z0-9#])|(?<=[A-Za-z0-9])[*]{1,3}(?![A-Za-z0-9_])|`")
#: Underscores are emphasis in pairs only: a device's name may end in some.
_UNDERLINED = re.compile(r"(?<![A-Za-z0-9_])(_{2,3})(?=[A-Za-z0-9#])([^_]{1,64})(?<=[A-Za-z0-9#])\1(?![A-Za-z0-9_])")
#: A Markdown fence that lost its line end.
_FENCE = re.compile(r"(?:```|~~~)\s*$")
#: Where the devices end and the columns of places begin; people shorten their titles.
_PLACES = re.compile(r"CPU|(?<![A-Za-z_])(?i:GPU ?NUMA|NUMA|Node Aff|Affinity)")


class Row(NamedTuple):
    """One device's row."""

    cells: tuple[str, ...]
    """As many as the matrix has columns, or fewer where the row was cut."""
    tail: str
    """What follows the cells: CPU affinity, NUMA affinity, GPU NUMA ID."""
    at: int | None = None
    """The column of the line where the tail begins; None where the line is wrapped."""


class Matrix(NamedTuple):
    """What the text states."""

    labels: tuple[str, ...]
    columns: Columns
    """Which columns of places there are, and where."""
    rows: dict[str, Row]
    after: list[str]
    """The lines behind the header: rows, legend, NIC legend."""

    positions: dict[str, int]
    """Device → its column."""


def matrices(given: Given) -> Iterator[Matrix]:
    """Every matrix of the text, in its order."""
    lines = _ended([_plain(line[:_LONGEST_LINE]) for line in given.lines])
    starts = [index for index, line in enumerate(lines) if "GPU" in line and _labels(line)]
    ends = [*starts[1:], len(lines)][: len(starts)]
    wrapped: list[int] = []
    for start, end in zip(starts, ends, strict=True):
        # The rest of a header that wrapped looks like a header itself: it is one with what stands before it.
        wrapped = [*wrapped[-_MOST_HEADERS:], start]
        if not any(_row_start(line) for line in lines[start + 1 : min(end, start + _MOST_WRAPS)]):
            continue
        found = next((made for first in wrapped if (made := _matrix(lines[first:end])) is not None), None)
        wrapped = []
        if found is not None:
            yield found


def _ended(lines: list[str]) -> list[str]:
    """The lines, less the last word of a row that ends the text and is shorter than the one before: ``NV1`` of NV18."""
    last = lines[-1].split() if lines else []
    if not last or _WHOLE.fullmatch(last[-1]) or _row_start(lines[-1]) is None:
        return lines
    before = next((line.split() for line in reversed(lines[:-1]) if _row_start(line)), None)
    if len(last) >= len(before) if before else not _PART_OF_CELL.fullmatch(last[-1]):
        return lines
    return [*lines[:-1], lines[-1].rstrip().removesuffix(last[-1])]


def looks_like(given: Given) -> bool:
    """Whether a matrix with at least one row is in the text."""
    return next(matrices(given), None) is not None


def _plain(line: str) -> str:
    """A line without what Markdown adds to it; the cells of its tables become columns."""
    if "```" in line or "~~~" in line:
        line = _FENCE.sub("", line)
    if line.count("|") >= _MARKDOWN_CELLS:
        line = "" if _MARKDOWN_RULE.fullmatch(line) else line.removeprefix("|").rstrip().removesuffix("|")
        line = "\t".join(cell.strip() for cell in line.split("|"))
    if "__" in line:
        line = _UNDERLINED.sub(r"\2", line)
    return _EMPHASIS.sub("", line) if "*" in line or "`" in line else line


def _devices(header: str) -> tuple[str, str]:
    """The part of a header that names devices, and the rest, which names columns of places."""
    first = _FIRST_GPU.search(header)
    if first is None:
        return "", ""
    place = _PLACES.search(header, first.start())
    end = len(header) if place is None else place.start()
    return header[first.start() : end], header[end:]


def _labels(header: str) -> tuple[str, ...]:
    """The devices that a header names; empty where the line is none."""
    labels: list[str] = []
    for word in _devices(header)[0].split():
        parts = _GLUED.findall(word)
        if "".join(parts) != word:
            parts = [word] if _DEVICE.fullmatch(word) else []
        if not parts or len(labels) > MOST_DEVICES or _SURE_CELL.fullmatch(word):
            return ()
        labels += parts
    return tuple(labels)


def _matrix(lines: list[str]) -> Matrix | None:
    """The matrix whose header is the first line, if rows follow it."""
    body = next((index for index, line in enumerate(lines[: _MOST_WRAPS + 1]) if index and _row_start(line)), None)
    if body is None:
        return None
    header = "".join(line for line in lines[:body] if line.strip())
    labels = _labels(header) or _labels(lines[0])
    rows = _rows(lines[body:], labels)
    several_headers = any("GPU" in line and _labels(line) for line in lines[1:body])
    if not rows or (several_headers and len(set(labels)) < len(labels)):
        return None
    places = _devices(header)[1]
    columns = Columns.of(places, len(header) - len(places))
    positions = {label: position for position, label in enumerate(labels)}
    return Matrix(labels, columns, rows, lines[body:], positions)


def _row_start(line: str) -> tuple[str, str] | None:
    """A row's label and the rest of its line, behind whatever prefix a log put before it."""
    for count, word in enumerate(_WORD.finditer(line)):
        if count > _MOST_PREFIX_WORDS:
            return None
        label, end = word[0].lstrip(_QUOTES), word.end()
        glued = _GLUED.match(label)
        if glued is None and not _DEVICE.fullmatch(label):
            continue
        if glued is not None and _SURE_CELL.match(label, glued.end()):
            label, end = glued[0], word.end() - len(label) + glued.end()
        if _SURE_CELL.match(line, end) and not _SURE_CELL.fullmatch(label):
            return label, line[end:]
    return None


def _rows(lines: list[str], labels: tuple[str, ...]) -> dict[str, Row]:
    known = frozenset(labels)
    texts: dict[str, str] = {}
    begins: dict[str, int] = {}
    current, wraps = "", 0
    for line in lines:
        start = _row_start(line)
        if start is not None and start[0] in known:
            current, wraps = start[0], 0
            texts.setdefault(current, start[1])
            begins.setdefault(current, len(line) - len(start[1]))
        elif current and wraps < _MOST_WRAPS and _CONTINUED.fullmatch(line):
            texts[current] += SEAM + line
            wraps += 1
        else:
            current = ""
    rows = {label: _row(text, len(labels), begins[label]) for label, text in texts.items()}
    tails = any(row.tail for row in rows.values())
    return {
        label: _less_part(row) if not row.tail and (tails or len(row.cells) < len(labels)) else row
        for label, row in rows.items()
    }


def _less_part(row: Row) -> Row:
    """A row without what others have behind their cells ends there: perhaps within its last cell."""
    return row if not row.cells or _WHOLE.fullmatch(row.cells[-1]) else row._replace(cells=row.cells[:-1])


def _row(text: str, count: int, begin: int) -> Row:
    """Cells that lost the blank between them at a seam are told apart all the same; the tail keeps its seams."""
    joined = text.replace(SEAM, "")
    cells: list[str] = []
    position = 0
    while len(cells) < count:
        match = _CELL.match(joined, position)
        if match is None:
            break
        cells.append(match[1])
        position = match.end()
    at = None if SEAM in text else begin + position
    return Row(tuple(cells), text[_with_seams(text, position) :].rstrip(), at)


def _with_seams(text: str, position: int) -> int:
    """Where a position of the text without its seams is in the text with them."""
    found = -1
    while (found := text.find(SEAM, found + 1)) != -1 and found < position:
        position += 1
    return position


def unnamed(matrix: Matrix) -> bool:
    """Whether there are rows of GPUs that the header does not name, since it is cut."""
    starts = (_row_start(line) for line in matrix.after)
    labels = {start[0] for start in starts if start is not None} - matrix.positions.keys()
    return any(label.startswith("GPU") and label[3:].isdecimal() for label in labels)


def sound_rows(matrix: Matrix, notes: Notes) -> dict[str, Row]:
    """The rows whose diagonal is where it must be; what is missing, cut or torn is noted."""
    sound = {}
    for position, label in enumerate(matrix.labels):
        row = matrix.rows.get(label)
        if row is None:
            notes.add(label, "its row is missing: the input is cut")
            continue
        crosses = [index for index, cell in enumerate(row.cells) if cell == "X"]
        if crosses != ([position] if len(row.cells) > position else []):
            notes.add(label, "its row is torn: the diagonal X is not in its own column")
            continue
        if len(row.cells) < len(matrix.labels):
            notes.add(label, f"its row is cut: {len(row.cells)} of {len(matrix.labels)} cells")
        sound[label] = row
    return sound
