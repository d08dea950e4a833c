"""Drift that began or ended, as Events about the Nodes."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from nvtopo.cluster.findings import NodeFinding
from nvtopo.model.changes.event_reasons import Type
from nvtopo.model.changes.node_events import NodeEvent, note_of

BEGAN: Final = "Drifted"
ENDED: Final = "DriftEnded"


class DriftEvent(NamedTuple):
    """One Event and the Node that it is about."""

    node: str
    event: NodeEvent


def between(before: Iterable[NodeFinding], after: Iterable[NodeFinding]) -> Iterator[DriftEvent]:
    """What began and what ended, by node. A node that drifts otherwise than before began to do so.

    Of a rack each node that differs has an Event, so that who looks at one node sees it.
    """
    was, now = _by_node(before), _by_node(after)
    for node in sorted(was.keys() | now.keys()):
        old, new = was.get(node, {}), now.get(node, {})
        for evidence in sorted(new.keys() - old.keys()):
            kind: Type = "Warning" if new[evidence].finding.severity == "warning" else "Normal"
            yield DriftEvent(node, NodeEvent(type=kind, reason=BEGAN, note=note_of([evidence])))
        if not new:
            note = note_of([f"no longer so: {evidence}" for evidence in sorted(old)])
            yield DriftEvent(node, NodeEvent(type="Normal", reason=ENDED, note=note))


def _by_node(findings: Iterable[NodeFinding]) -> dict[str, dict[str, NodeFinding]]:
    """Node → evidence → finding."""
    found: dict[str, dict[str, NodeFinding]] = {}
    for one in findings:
        for node in one.nodes:
            found.setdefault(node, {})[one.reason] = one
    return found
