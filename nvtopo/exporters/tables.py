"""The graph as plain tables: nodes, the domains of a tier, findings; and what changed, line by line."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from nvtopo.cluster.claims import TIERS
from nvtopo.exporters.change_records import GraphChange
from nvtopo.exporters.document import DomainEntry, Drift, GraphDocument, NodeEntry
from nvtopo.model.formats.printable import printable

_NOTHING: Final = "-"
_UNKNOWN: Final = "?"
_MOST_NODES: Final = 4
Row = Sequence[str]


def nodes(document: GraphDocument) -> str:
    """One line for each node, ending in a newline."""
    tiers = [tier for tier in TIERS if any(tier in node.tiers for node in document.nodes.values())]
    kinds = sorted({kind for node in document.nodes.values() for kind in node.zones})
    head = ("NODE", "GPUS", "HEALTH", "TRAY", *(name.upper() for name in (*tiers, *kinds)), "PROBLEMS")
    rows = (
        (
            name,
            *_node(node),
            *(_short(document, node.tiers.get(tier)) for tier in tiers),
            *(node.zones[kind].zone if kind in node.zones else _NOTHING for kind in kinds),
            str(len(node.problems)),
        )
        for name, node in document.nodes.items()
    )
    return _table(head, rows)


def domains(document: GraphDocument) -> str:
    """One line for each domain."""
    head = ("TIER", "NAME", "ID", "NODES", "GPUS", "IN")
    rows = (
        (one.tier, one.name, identifier, str(len(one.nodes)), _gpus(document, one), one.parent or _NOTHING)
        for identifier, one in document.domains.items()
    )
    return _table(head, rows)


def drift(document: GraphDocument) -> str:
    """One line for each finding."""
    rows = (
        (found.severity or _UNKNOWN, found.id or found.kind, _about(found), _said(found)) for found in document.drift
    )
    return _table(("SEVERITY", "CHECK", "NODES", "EVIDENCE"), rows)


def changed(change: GraphChange) -> str:
    """What differs: the generation, then one line for each node, domain, cable and finding."""
    return "".join(f"{printable(line)}\n" for line in (f"generation {change.generation}", *_changes(change)))


def _changes(change: GraphChange) -> Iterator[str]:
    for name, node in change.nodes.items():
        yield f"  node {name}: gone" if node is None else f"  node {name}: {_details(node)}"
    for identifier, one in change.domains.items():
        kept = "gone" if one is None else f"{one.tier} {one.name}, {_count(len(one.nodes), 'node')}"
        yield f"  domain {identifier}: {kept}"
    for sign, edges in (("+", change.edges.added), ("-", change.edges.removed)):
        for edge in edges:
            yield f"  {sign} cable {edge.a} - {edge.b}{'' if edge.present else ' is missing'} ({edge.source})"
    for sign, several in (("+", change.drift.added), ("-", change.drift.removed)):
        for found in several:
            yield f"  {sign} {found.id or found.kind} {_about(found)}: {_said(found)}"


def _details(node: NodeEntry) -> str:
    gpus, health, tray = _node(node)
    seat = "" if node.position.tray is None else f", tray {tray}"
    problems = f", {_count(len(node.problems), 'problem')}" if node.problems else ""
    return f"{gpus} GPUs, {health}{seat}{problems}"


def _node(node: NodeEntry) -> tuple[str, str, str]:
    """GPUs, their health, tray."""
    levels = Counter(node.health.values())
    health = ", ".join(f"{count} {level}" for level, count in sorted(levels.items(), key=lambda one: (-one[1], one[0])))
    tray = node.position.tray
    return (
        _UNKNOWN if node.gpus is None else str(node.gpus),
        health or ("stale" if node.stale else _UNKNOWN if node.gpus is None else _NOTHING),
        _NOTHING if tray is None else str(tray),
    )


def _short(document: GraphDocument, identifier: str | None) -> str:
    """A domain by its short name."""
    if identifier is None:
        return _NOTHING
    return document.domains[identifier].name if identifier in document.domains else identifier


def _gpus(document: GraphDocument, domain: DomainEntry) -> str:
    """Of the nodes that have said how many; unknown if none has."""
    known = [node.gpus for name in domain.nodes if (node := document.nodes.get(name)) and node.gpus is not None]
    return str(sum(known)) if known else _UNKNOWN


def _about(found: Drift) -> str:
    """The first of the nodes, and how many more."""
    more = len(found.nodes) - _MOST_NODES
    return ",".join(found.nodes[:_MOST_NODES]) + (f" and {more} more" if more > 0 else "") or _NOTHING


def _said(found: Drift) -> str:
    return found.evidence or found.reason


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _table(head: Row, rows: Iterator[Row]) -> str:
    """Columns as wide as their widest entry; the last one is as it is."""
    lines = [[printable(entry) for entry in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ("  ".join(entry.ljust(width) for entry, width in zip(line, widths, strict=True)) for line in lines)
    return "".join(f"{line.rstrip()}\n" for line in padded)
