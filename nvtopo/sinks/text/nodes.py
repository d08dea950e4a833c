"""Many nodes as a table, a line for each: what it is, how its GPUs are joined, and the worst that is wrong with it."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from nvtopo.model.conclusions.derive import Derived
from nvtopo.model.conclusions.health_kinds import KINDS
from nvtopo.model.conclusions.health_words import sentence
from nvtopo.model.formats.printable import printable
from nvtopo.model.records.node import NodeTopology
from nvtopo.sinks.text import verdict
from nvtopo.sinks.text.verdict import Style

_HEAD: Final = ("NODE", "GPUS", "PRODUCT", "NVLINK", "RAILS", "READY", "WHY NOT")
_UNKNOWN: Final = "?"
_NONE: Final = "-"
_READY: Final = {True: ("yes", "ok"), False: ("no", "fault"), None: (_UNKNOWN, "unknown")}
#: The longest product that is not cut.
_PRODUCT: Final = 32


class Line(NamedTuple):
    """One node's line."""

    cells: tuple[str, ...]
    look: str
    """Of its last two cells."""


def line(name: str, node: NodeTopology, derived: Derived) -> Line:
    """A node's line. What is not known is ``?``."""
    ready, look = _READY[derived.health.ready] if node.gpus or node.problems or node.unseen else (_NONE, "quiet")
    why = verdict.lines(node, derived, _plain).partition("\n")
    more = f" (and {why[2].count('!')} more)" if why[2] else ""
    said = f"{why[0].removeprefix('! ')}{more}" or _open(derived)
    return Line(
        (printable(name), _gpus(node), _product(node), _nvlink(node, derived), _rails(node, derived), ready, said), look
    )


def unreadable(name: str, reason: str) -> Line:
    """The line of a node whose file can't be read."""
    return Line((printable(name), *(_UNKNOWN,) * 5, printable(f"can't be read: {reason}")), "unknown")


def _plain(text: str, _look: str) -> str:
    return text


def render(lines: Iterable[Line], style: Style = _plain, columns: int | None = None) -> str:
    """The table with a summary above it; ``columns`` is the width of the terminal, if there is one."""
    rows = sorted(lines)
    table = [_HEAD, *(row.cells for row in rows)]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(_HEAD))]
    drawn = [style(_padded(_HEAD, widths, columns), "head")]
    for row in rows:
        plain = _padded(row.cells, widths, columns)
        start = sum(widths[:-2]) + 2 * (len(widths) - 2)
        drawn.append(plain[:start] + style(plain[start:], row.look))
    return "".join(f"{one}\n" for one in (_summary(rows), "", *drawn))


def _padded(cells: tuple[str, ...], widths: list[int], columns: int | None) -> str:
    text = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
    return text if columns is None or len(text) <= columns else f"{text[: columns - 1]}…"


def _summary(rows: list[Line]) -> str:
    """``3 nodes, 24 GPUs: 2 ready, 1 not ready``."""
    answers = [row.cells[5] for row in rows]
    named = (("yes", "ready"), ("no", "not ready"), (_UNKNOWN, "not known"), (_NONE, "without a GPU"))
    counts = ", ".join(f"{answers.count(answer)} {words}" for answer, words in named if answer in answers)
    gpus = [int(row.cells[1]) for row in rows if row.cells[1].isdigit()]
    return f"{_count(len(rows), 'node')}, {_count(sum(gpus), 'GPU')}: {counts}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _gpus(node: NodeTopology) -> str:
    unknown = "gpus" in node.unseen or (not node.gpus and node.problems)
    return _UNKNOWN if unknown else str(len(node.gpus))


def _product(node: NodeTopology) -> str:
    names = " / ".join(sorted({gpu.name for gpu in node.gpus if gpu.name}))
    shown = printable(names or node.host.product) or _NONE
    return shown if len(shown) <= _PRODUCT else f"{shown[: _PRODUCT - 1]}…"


def _nvlink(node: NodeTopology, derived: Derived) -> str:
    """``8 full mesh``, ``2+2+2+2``: the GPUs of each group."""
    if not node.gpus:
        return _NONE
    if derived.nvlink_groups is None:
        return _UNKNOWN
    sizes = "+".join(str(len(group)) for group in derived.nvlink_groups)
    if len(derived.nvlink_groups) == 1 and derived.nvlink_full_mesh is not None:
        return f"{sizes} {'full mesh' if all(derived.nvlink_full_mesh) else 'partly'}"
    return sizes or "none"


def _rails(node: NodeTopology, derived: Derived) -> str:
    return _UNKNOWN if "nics" in node.unseen else str(len(derived.rails))


def _open(derived: Derived) -> str:
    """Why it is not known whether the node is ready; empty if it is known."""
    reasons = (one for one in derived.health.reasons if KINDS[one.code].ready is None)
    return next((sentence(one) for one in reasons), "")
