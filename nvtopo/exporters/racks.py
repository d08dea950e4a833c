"""The rack graph for people: every NVLink domain as a rack with its trays in physical order.

Rendered from the document, so a graph from an aggregator's API reads as one that was built here. The text is the same
with and without colour, and every state has a glyph of its own: colour is never the only sign.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from nvtopo.cluster.claims import NVLINK_DOMAIN
from nvtopo.exporters.document import DomainEntry, GraphDocument, NodeEntry, SilentTrays
from nvtopo.model.formats.listing import listed
from nvtopo.model.formats.printable import printable

Style = Callable[[str, str], str]
"""What makes a piece of text look so: as a health (``GLYPHS``), or as ``head``, ``quiet``, ``trouble``."""


class Span(NamedTuple):
    """A piece of a line, and how it looks on a terminal; as any text where that is empty."""

    text: str
    look: str = ""


Line = tuple[Span, ...]
Row = tuple[tuple[int, int], Line]
"""A line of a rack, and the tray and host it is sorted by."""

GLYPHS: Mapping[str, Span] = MappingProxyType(
    {
        "ok": Span("■", "ok"),
        "degraded": Span("◧", "degraded"),
        "registering": Span("◌", "registering"),
        "fault": Span("✗", "fault"),
        "unknown": Span("?", "unknown"),
        "stale": Span("~", "stale"),
    }
)

_TIER = NVLINK_DOMAIN
_MOST_ZONES = 4
_HEAD = "head"
_QUIET = "quiet"
_TROUBLE = "trouble"
_SHARED = ("same-place", "same-gpu", "tier", "cabling", "source")
"""What is not a matter of one node's own GPUs is told once, below the racks."""


def plain(text: str, look: str) -> str:
    """The style of a pipe: none."""
    del look
    return text


def render(document: GraphDocument, style: Style = plain) -> str:
    """The racks as text, ending in a newline."""
    return "".join(_styled(line, style) + "\n" for line in lines(document))


def _styled(line: Line, style: Style) -> str:
    """Without blanks at the end."""
    bare = "".join(span.text for span in line).rstrip()
    styled, left = [], len(bare)
    for span in line:
        text = span.text[:left]
        left -= len(text)
        styled.append(style(text, span.look) if text and span.look else text)
    return "".join(styled)


def lines(document: GraphDocument) -> Iterator[Line]:
    """All lines: the count of everything, the racks, the nodes in none, what does not fit, the legend."""
    yield from _summary(document)
    trays_outside = _trays_outside(document)
    for domain, rack in _racks(document):
        yield ()
        yield from _rack(document, domain, rack, trays_outside)
    yield from _outside(document)
    yield from _drift(document)
    yield from _legend(document)


def _racks(document: GraphDocument) -> list[tuple[str, DomainEntry]]:
    found = [(domain, rack) for domain, rack in document.domains.items() if rack.tier == _TIER]
    return sorted(found, key=lambda item: (item[1].name, item[0]))


def _summary(document: GraphDocument) -> Iterator[Line]:
    gpus = sum(node.gpus or 0 for node in document.nodes.values())
    parts = [
        _count(len(document.nodes), "node"),
        _count(gpus, "GPU"),
        _count(len(_racks(document)), "NVLink domain"),
        f"generation {document.generation}",
    ]
    troubled = sum(1 for node in document.nodes.values() if node.problems)
    ill = [Span(" · "), Span(f"{_count(troubled, 'node')} with problems", _TROUBLE)] if troubled else []
    yield (Span(" · ".join(parts), _HEAD), *ill)


def _rack(
    document: GraphDocument, domain: str, rack: DomainEntry, trays_outside: Mapping[str | None, list[Row]]
) -> Iterator[Line]:
    members = [(name, document.nodes[name]) for name in rack.nodes if name in document.nodes]
    gpus = sum(node.gpus or 0 for _, node in members)
    yield (
        Span(printable(rack.name), _HEAD),
        Span(f"  {_count(len(members), 'node')}, {_count(gpus, 'GPU')}"),
        Span(f"  domain {printable(domain)}", _QUIET),
        Span("".join(f"  {printable(kind)} {printable(named)}" for kind, named in _zones(members)), _QUIET),
    )
    for chassis in (*rack.chassis, None):
        seated = [(name, node) for name, node in members if node.position.chassis == chassis]
        if seated:
            between = [*_gaps(rack, chassis), *trays_outside.get(chassis, ())]
            yield from _chassis(chassis, seated, between, several=len(rack.chassis) > 1)


def _zones(members: Iterable[tuple[str, NodeEntry]]) -> Iterator[tuple[str, str]]:
    """Each kind of zones, and those that the nodes are in: ``power``, ``feed-a, feed-b``."""
    found: dict[str, set[str]] = {}
    for _, node in members:
        for kind, entry in node.zones.items():
            found.setdefault(kind, set()).add(entry.zone)
    for kind in sorted(found):
        yield kind, listed(sorted(found[kind]), _MOST_ZONES)


def _gaps(rack: DomainEntry, chassis: str | None) -> Iterator[Row]:
    for gap in rack.silent:
        if gap.chassis == chassis:
            yield (gap.first, 0), _silent(gap)


def _trays_outside(document: GraphDocument) -> Mapping[str | None, list[Row]]:
    """Chassis → its trays that are in no domain: they are neither silent nor part of a rack."""
    found: dict[str | None, list[Row]] = {}
    for name, node in document.nodes.items():
        if node.position.chassis is not None and _TIER not in node.tiers:
            line = (Span(_seat(node), _QUIET), Span(f"{printable(name)} is in no domain, see below", _TROUBLE))
            found.setdefault(node.position.chassis, []).append((_tray_order(node), line))
    return found


def _chassis(
    serial: str | None, seated: list[tuple[str, NodeEntry]], between: Sequence[Row], *, several: bool
) -> Iterator[Line]:
    """The trays of one chassis; its serial number only where the rack's name does not say it already."""
    if serial is None:
        yield (Span("  chassis not known", _QUIET),)
    elif several:
        yield (Span(f"  chassis {printable(serial)}", _QUIET),)
    width = max(len(printable(name)) for name, _ in seated)
    rows = [*between, *((_tray_order(node), _tray(name, node, width)) for name, node in seated)]
    yield from (line for _, line in sorted(rows, key=lambda row: row[0]))


def _tray_order(node: NodeEntry) -> tuple[int, int]:
    """Trays without a number follow those that have one."""
    place = node.position
    return (1 << 32 if place.tray is None else place.tray, 1 << 32 if place.host is None else place.host)


def _tray(name: str, node: NodeEntry, width: int) -> Line:
    return (Span(_seat(node), _QUIET), *_node(name, node, width))


def _seat(node: NodeEntry) -> str:
    place = node.position
    tray = "tray  ?" if place.tray is None else f"tray {place.tray:02}"
    slot = "" if place.slot is None else f" slot {place.slot:02}"
    return f"  {tray}{slot}  "


def _silent(gap: SilentTrays) -> Line:
    which = f"tray {gap.first:02}" if gap.first == gap.last else f"trays {gap.first:02}-{gap.last:02}"
    return (Span(f"  no node reports {which}", _TROUBLE),)


def _node(name: str, node: NodeEntry, width: int) -> Line:
    glyphs = [span for word in node.health.values() for span in (GLYPHS.get(word, GLYPHS["unknown"]), Span(" "))]
    shared = any(problem.source == "graph" and problem.subject in _SHARED for problem in node.problems)
    troubles = "; ".join((*_trouble(node), *(["see below"] if shared else [])))
    label = Span(f"{printable(name):<{width}}  ")
    unreadable = any(problem.subject == "resource" for problem in node.problems)
    if node.gpus is None and not unreadable:
        more = (Span(f"  {troubles}", _TROUBLE),) if troubles else ()
        return (label, Span("has said nothing itself", _QUIET), *more)
    if node.gpus is None:
        return (label, Span(f"not readable: {troubles}", _TROUBLE))
    if node.gpus == 0 and not node.health:
        return (label, Span("no GPU"), Span(f"  {troubles}", _TROUBLE))
    return (label, *glyphs, Span(f" {troubles}", _TROUBLE))


def _trouble(node: NodeEntry) -> Iterator[str]:
    for problem in node.problems:
        if problem.source == "graph" and problem.subject in _SHARED:
            continue
        about = "" if problem.source == "graph" else f"{problem.source} {problem.subject}: "
        yield printable(about + problem.reason)


def _outside(document: GraphDocument) -> Iterator[Line]:
    """Nodes in no NVLink domain: a fact for an HGX board, a question for a tray that is registering."""
    nodes = {name: node for name, node in document.nodes.items() if _TIER not in node.tiers}
    if not nodes:
        return
    width = max(len(printable(name)) for name in nodes)
    yield ()
    yield (Span("without an NVLink domain", _HEAD), Span(f"  {_count(len(nodes), 'node')}"))
    for name, node in nodes.items():
        yield (Span("  "), *_node(name, node, width), *_address(node))


def _address(node: NodeEntry) -> Line:
    place = node.position
    if place.chassis is None:
        return ()
    tray = "" if place.tray is None else f" tray {place.tray:02}"
    return (Span(f" (chassis {printable(place.chassis)}{tray})", _QUIET),)


def _drift(document: GraphDocument) -> Iterator[Line]:
    shared = [drift for drift in document.drift if len(drift.nodes) > 1 or drift.kind in _SHARED]
    if shared:
        yield ()
        yield (Span("findings", _HEAD),)
    for drift in shared:
        yield (Span("  "), Span(printable(drift.reason), _TROUBLE))


def _legend(document: GraphDocument) -> Iterator[Line]:
    """The glyphs that occur, where any but the square of a healthy GPU does."""
    seen = {word for node in document.nodes.values() for word in node.health.values()}
    if seen - {"ok"}:
        used: Iterable[tuple[str, Span]] = ((word, glyph) for word, glyph in GLYPHS.items() if word in seen)
        yield ()
        yield tuple(span for word, glyph in used for span in (glyph, Span(f" {word}   ", _QUIET)))


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
