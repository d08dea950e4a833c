"""The audit trail as a document: the JSON of ``nvtopo history --format json`` and of ``GET /v1/history``."""

from collections.abc import Mapping
from itertools import chain
from typing import Any, Final

import msgspec

from nvtopo.cluster.graph import ClusterGraph
from nvtopo.cluster.history import Entry, History
from nvtopo.model.changes import words
from nvtopo.model.records.record import Record
from nvtopo.wire.documents import Json

MOST_ENTRIES: Final = 10_000
"""Of one answer: the newest."""


class HistoryEntry(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One change of one node."""

    at: str
    """RFC 3339, when the aggregator saw it."""
    node: str
    kind: str
    subject: str
    path: str
    before: Any
    after: Any
    text: str
    """The same in words."""


class HistoryDocument(Record, frozen=True, kw_only=True, omit_defaults=False):
    """What changed, oldest first."""

    entries: tuple[HistoryEntry, ...]
    left_off: int = 0
    """Older entries that are not in it."""


_DOCUMENT: Final = Json(HistoryDocument, "an nvtopo history")


def members(graph: ClusterGraph, name: str) -> tuple[str, ...] | None:
    """The nodes that a name means: a node's own, or those of a domain of any tier, by its ID or short name."""
    if name in graph.nodes:
        return (name,)
    found = [domain.nodes for domain in graph.domains.values() if name in (domain.id, domain.name)]
    return tuple(dict.fromkeys(chain.from_iterable(found))) or None


def of(trails: Mapping[str, History]) -> HistoryDocument:
    """The document of these trails, node → trail."""
    found = [(name, entry) for name, trail in trails.items() for entry in trail]
    found.sort(key=_place)
    shown = (_entry(name, entry) for name, entry in found[-MOST_ENTRIES:])
    return HistoryDocument(entries=tuple(shown), left_off=max(0, len(found) - MOST_ENTRIES))


def encode(document: HistoryDocument) -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(document)


def decode(text: bytes, subject: str = "") -> HistoryDocument:
    """What an aggregator served.

    Raises:
        ParseError: it is none; ``subject`` is where it is from.
    """
    return _DOCUMENT.read(text, subject)


def _place(found: tuple[str, Entry]) -> tuple[str, ...]:
    name, entry = found
    return entry.at, name, entry.kind, entry.subject, entry.path


def _entry(name: str, entry: Entry) -> HistoryEntry:
    change = entry.change
    return HistoryEntry(
        at=entry.at,
        node=name,
        kind=change.kind,
        subject=change.subject,
        path=change.path,
        before=change.before,
        after=change.after,
        text=_text(entry),
    )


def _text(entry: Entry) -> str:
    """In words; a value that another version of ours wrote is shown as it stands."""
    try:
        return words.text(entry.change)
    except Exception:  # noqa: BLE001 - values of other versions
        return f"{entry.subject}: {entry.path} {entry.before} → {entry.after}"
