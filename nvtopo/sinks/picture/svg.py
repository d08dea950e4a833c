"""The node as a picture: NUMA nodes above and below, their devices in frames, NVLink in the middle.

One file without scripts or references; it follows the reader's light or dark theme and gives its colours in words too.
"""

from textwrap import wrap
from typing import Final, NamedTuple

from nvtopo.model.conclusions.derive import Derived
from nvtopo.model.conclusions.hierarchy import NumaBranch, hierarchy
from nvtopo.model.conclusions.pcie import Functions
from nvtopo.model.records.node import Gpu, NodeTopology
from nvtopo.sinks.document.xml import Element, text_of
from nvtopo.sinks.picture import svg_nvlink
from nvtopo.sinks.picture.nvlink_ends import ends_of
from nvtopo.sinks.picture.svg_layout import Placed, panel, panel_size
from nvtopo.sinks.picture.svg_style import STYLE
from nvtopo.sinks.picture.svg_tiles import BAD, OK, QUIET, WARN, Box, Facts, drawn, number, rectangle, words
from nvtopo.sinks.text.summary import summary

_MARGIN: Final = 28
_BETWEEN: Final = 16
_NARROWEST: Final = 640
_TITLE_CHARACTER, _TINY_CHARACTER = 11.3, 6.2
#: Characters of a line of the heading; a longer one goes on below.
_LONGEST_LINE: Final = 86
_LINE: Final = 19
_MOST_PROBLEMS: Final = 6
_MEANINGS: Final = {OK: "healthy, up", WARN: "degraded", BAD: "fault", QUIET: "down", "unknown": "not known"}


class _At(NamedTuple):
    placed: Placed
    box: Box


def render(node: NodeTopology, derived: Derived, functions: Functions) -> str:
    """The picture as an SVG file."""
    facts = Facts(node, derived, functions)
    said = summary(node, derived).split("\n")
    heading = [piece for line in said for piece in wrap(line, _LONGEST_LINE) or [line]]
    parts = [part for part in hierarchy(node, functions) if part.number is not None or part.all_devices]
    title = len(heading[0]) * _TITLE_CHARACTER
    width = max(_NARROWEST, title, *(_row_width(row) for row in _halves(parts))) + 2 * _MARGIN
    top = _MARGIN + 26 + _LINE * (len(heading) - 1) + 10
    elements, bottom = _machine(facts, parts, width, top)
    footer, height = _footer(facts, elements, width, bottom + 30)
    style = Element("style", {}, [], "@style@")
    described = [Element("title", {"id": "title"}, [], said[0]), _description(facts)]
    background = rectangle(Box(0, 0, width, height), "paper", 0)
    root = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {number(width)} {number(height)}",
            "width": number(width),
            "height": number(height),
            "role": "img",
            "aria-labelledby": "title desc",
        },
        [*described, style, background, *_heading(heading, width), *elements, *footer],
    )
    return text_of(root).replace("@style@", STYLE, 1)


def _halves(parts: list[NumaBranch]) -> tuple[list[NumaBranch], list[NumaBranch]]:
    """The upper row and the lower; one NUMA node alone has the picture for itself."""
    half = (len(parts) + 1) // 2
    return parts[:half], parts[half:]


def _row_width(parts: list[NumaBranch]) -> float:
    return sum(panel_size(part).width for part in parts) + _BETWEEN * (len(parts) - 1)


def _machine(facts: Facts, parts: list[NumaBranch], width: float, top: float) -> tuple[list[Element], float]:
    """Both rows of panels with the NVLinks between them, and where they end."""
    upper, lower = _halves(parts)
    first, second = _row(upper, width, mirrored=False), _row(lower, width, mirrored=True)
    ends = ends_of(facts.node)
    middle = svg_nvlink.height_of(ends, _gpus(first), _gpus(second))
    first = _moved(first, top)
    area = Box(_MARGIN, _end(first, top), width - 2 * _MARGIN, middle)
    second = _moved(second, area.y + area.height)
    links = svg_nvlink.drawn(ends, _gpus(first) | _gpus(second), area, facts)
    panels = [*_panels(first, facts, mirrored=False), *_panels(second, facts, mirrored=True)]
    return [*panels, *links], _end(second, area.y + area.height)


def _panels(row: list[_At], facts: Facts, *, mirrored: bool) -> list[Element]:
    return [drawn(at.placed, at.box, facts, mirrored=mirrored) for at in row]


def _moved(row: list[_At], down: float) -> list[_At]:
    return [_At(at.placed, at.box._replace(y=at.box.y + down)) for at in row]


def _end(row: list[_At], empty: float) -> float:
    """The lower edge of a row; that of an empty one is given."""
    return max((at.box.y + at.box.height for at in row), default=empty)


def _row(parts: list[NumaBranch], width: float, *, mirrored: bool) -> list[_At]:
    """The panels of a row, as high as the highest of them, in the middle of the picture."""
    height = max((panel_size(part).height for part in parts), default=0)
    left = (width - _row_width(parts)) / 2
    row = []
    for part in parts:
        for placed in panel(part, left, height):
            y = height - placed.depth - placed.height if mirrored else placed.depth
            row.append(_At(placed, Box(placed.x, y, placed.width, placed.height)))
        left += panel_size(part).width + _BETWEEN
    return row


def _gpus(row: list[_At]) -> dict[int, Box]:
    return {device.index: at.box for at in row for device in at.placed.devices if isinstance(device, Gpu)}


def _heading(lines: list[str], width: float) -> list[Element]:
    room = width - 2 * _MARGIN
    title = words((_MARGIN, _MARGIN + 14), lines[0], "title", room)
    rest = (
        words((_MARGIN, _MARGIN + 38 + _LINE * position), line, "subtitle", room)
        for position, line in enumerate(lines[1:])
    )
    return [title, *rest]


def _description(facts: Facts) -> Element:
    node = facts.node
    counts = f"{len(node.gpus)} GPUs, {len(node.nics)} NICs, {len(node.nvmes)} NVMe drives."
    levels = {gpu.key: facts.derived.health.gpus[gpu.index].level for gpu in node.gpus}
    bad = ", ".join(f"{key} is {level}" for key, level in levels.items() if level != "ok")
    text = f"{summary(node, facts.derived)}\n{counts}{f' {bad}.' if bad else ''}"
    return Element("desc", {"id": "desc"}, [], text)


def _footer(facts: Facts, picture: list[Element], width: float, top: float) -> tuple[list[Element], float]:
    """The legend of the colours, and the problems."""
    moods = {word for element in picture for word in element.attributes.get("class", "").split()}
    elements, left = [], float(_MARGIN)
    for mood, meaning in _MEANINGS.items():
        if mood not in moods:
            continue
        chip = Element("g", {"class": f"tile {mood}"}, [rectangle(Box(left, top - 9, 12, 10), "stripe", 3)])
        elements += [chip, words((left + 18, top), meaning, "tiny", 120)]
        left += 44 + len(meaning) * 6
    problems = facts.derived.problems
    shown = [f"{problem.subject}: {problem.reason}" for problem in problems[:_MOST_PROBLEMS]]
    shown += [f"and {len(problems) - _MOST_PROBLEMS} more"] if len(problems) > _MOST_PROBLEMS else []
    room = width - 2 * _MARGIN
    for line in (piece for problem in shown for piece in wrap(f"! {problem}", int(room / _TINY_CHARACTER))):
        top += _LINE
        elements.append(words((_MARGIN, top + 6), line, "tiny warn", room))
    return elements, top + _MARGIN
