"""The audit trail: what changed, when, on which node, from what to what. Bounded in count, age and bytes.

A trail stands in its node's ``status``, so it outlives every restart and goes with the node. Every replica that follows
the cluster notes the same changes, a little sooner or later; where two trails meet, one change stays one entry.
"""

import calendar
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta

from nvtopo.cluster.accepted import Moment
from nvtopo.errors import ParseError
from nvtopo.model.changes.change import DERIVED, Change
from nvtopo.model.records.record import Name, Record, ShortWord
from nvtopo.wire.documents import ANY

MOST_ENTRIES: Final = 256
_LONGEST_VALUE: Final = 128
_LARGEST_BYTES: Final = 16 << 10
#: Of one reading: a machine that changes altogether is one event and not a hundred.
_MOST_AT_ONCE: Final = 16
#: Within which two replicas note the same change.
_SAME_SECONDS: Final = 120
_DAY_SECONDS: Final = 86_400
_NODE: Final = "node"
_KNOWN_BY: Final = ("name", "uuid", "pciBusID", "reason")
_EMPTY: Final = len("{}")
_MORE: Final = "more"

Value = Annotated[str, Meta(max_length=_LONGEST_VALUE)]


class Entry(Record, frozen=True, kw_only=True):
    """One change."""

    at: Moment
    """When the aggregator saw it."""
    kind: ShortWord
    """As in a change; ``node`` for what the aggregator says of the node itself."""
    subject: Name
    """What changed: ``GPU3``, ``mlx5_2``, ``host``, ``node``."""
    path: Name = ""
    """The fact of the subject; empty if it came or went as a whole."""
    before: Value = "null"
    """As JSON; a long value is cut, and is a string then."""
    after: Value = "null"
    """The same, after the change."""

    @property
    def change(self) -> Change:
        """The same as a typed change."""
        values = (_read(text) for text in (self.before, self.after))
        return Change(kind=self.kind, subject=self.subject, path=self.path, before=next(values), after=next(values))


History = Annotated[tuple[Entry, ...], Meta(max_length=MOST_ENTRIES)]


class Limits(NamedTuple):
    """What is kept of one node."""

    entries: int = 32
    days: float = 30.0


class Sight(NamedTuple):
    """What the aggregator says of a node itself."""

    ready: bool | None = None
    stale: bool = False
    present: bool = True


def entries(changes: Iterable[Change], at: str) -> tuple[Entry, ...]:
    """The entries of one reading. What only follows from facts is left out."""
    found = [change for change in changes if change.kind != DERIVED]
    made = [_entry(change, at) for change in found[:_MOST_AT_ONCE]]
    left = len(found) - len(made)
    if left > 0:
        made.append(_entry(Change(kind=_MORE, subject=_NODE, path="changes", before=0, after=left), at))
    return tuple(made)


def of_sights(before: Sight, after: Sight, at: str) -> tuple[Entry, ...]:
    """What the aggregator says otherwise than before."""
    names = zip(Sight._fields, before, after, strict=True)
    return tuple(
        _entry(Change(kind=_NODE, subject=_NODE, path=name, before=was, after=now), at)
        for name, was, now in names
        if was != now
    )


def kept(trail: Iterable[Entry], limits: Limits, now: str) -> tuple[Entry, ...]:
    """The newest entries, oldest first, as far as count, age and bytes allow."""
    oldest = _seconds(now) - limits.days * _DAY_SECONDS
    young = [entry for entry in sorted(trail, key=_order) if _seconds(entry.at) >= oldest]
    found, size = list[Entry](), 0
    for entry in reversed(young[-min(limits.entries, MOST_ENTRIES) :] if limits.entries else ()):
        size += len(msgspec.json.encode(entry))
        if size > _LARGEST_BYTES:
            break
        found.append(entry)
    return tuple(reversed(found))


def joined(ours: Iterable[Entry], theirs: Iterable[Entry]) -> tuple[Entry, ...]:
    """Both trails as one. What both have, at nearly the same time, is there once, as ``theirs`` has it."""
    theirs = tuple(theirs)
    return tuple(sorted((*theirs, *apart(ours, theirs)[0]), key=_order))


def apart(ours: Iterable[Entry], theirs: Iterable[Entry]) -> tuple[list[Entry], list[Entry]]:
    """What only ours has, and what only theirs has; what both have at nearly the same time is in neither."""
    left: dict[tuple[str, ...], deque[Entry]] = {}
    for entry in sorted(theirs, key=_order):
        left.setdefault(_what(entry), deque()).append(entry)
    alone, others = list[Entry](), list[Entry]()
    for entry in sorted(ours, key=_order):
        at, known = _seconds(entry.at), left.get(_what(entry), deque())
        while known and _seconds(known[0].at) < at - _SAME_SECONDS:
            others.append(known.popleft())
        if known and _seconds(known[0].at) <= at + _SAME_SECONDS:
            known.popleft()
        else:
            alone.append(entry)
    return alone, [*others, *(entry for several in left.values() for entry in several)]


def recent(entries: Iterable[Entry], now: str) -> tuple[Entry, ...]:
    """Those that another replica may still note by itself."""
    return tuple(entry for entry in entries if _seconds(now) - _seconds(entry.at) <= _SAME_SECONDS)


def _entry(change: Change, at: str) -> Entry:
    return Entry(
        at=at,
        kind=change.kind[:64],
        subject=change.subject[:256],
        path=change.path[:256],
        before=_written(change.before),
        after=_written(change.after),
    )


def _written(value: Any) -> str:
    """As JSON, not longer than allowed: of a thing that came or went, by what it is known."""
    text = _json(value)
    if len(text) <= _LONGEST_VALUE:
        return text
    if isinstance(value, Mapping):
        known_by = _json({name: value[name] for name in _KNOWN_BY if value.get(name)})
        if _EMPTY < len(known_by) <= _LONGEST_VALUE:
            return known_by
    whole = value if isinstance(value, str) else text
    cut = (_json(f"{whole[:length]}…") for length in (_LONGEST_VALUE - 8, _LONGEST_VALUE // 2, _LONGEST_VALUE // 8))
    return next((text for text in cut if len(text) <= _LONGEST_VALUE), "null")


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode("utf-8", "replace")


def _read(text: str) -> Any:
    """What an entry says; the text itself if it is no JSON."""
    try:
        return ANY.read(text.encode("utf-8", "replace"))
    except ParseError:
        return text


def _what(entry: Entry) -> tuple[str, ...]:
    return entry.kind, entry.subject, entry.path, entry.before, entry.after


def _order(entry: Entry) -> tuple[str, ...]:
    return entry.at, *_what(entry)


def _seconds(at: str) -> int:
    """Unix seconds of a moment; one that no calendar has is long ago."""
    try:
        year, month, day = (int(part) for part in at[:10].split("-"))
        hour, minute, second = (int(part) for part in at[11:19].split(":"))
        return calendar.timegm((year, month, day, hour, minute, second))
    except ValueError:
        return 0
