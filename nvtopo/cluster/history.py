"""The audit trail: what changed, when, on which node, from what to what. Bounded in count, age and bytes.

A trail stands in its node's ``status``, so it outlives every restart and goes with the node. The leader writes it.
Every other replica notes what changes until it is written, so that who leads next goes on where the trail ends.
"""

import calendar
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta
from msgspec.structs import replace

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
#: Within which two replicas note the same value of a fact.
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


#: Kind, subject and path.
Fact = tuple[str, str, str]
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
    """The newest entries of a trail, oldest first like it, as far as count, age and bytes allow."""
    oldest = _seconds(now) - limits.days * _DAY_SECONDS
    young = [entry for entry in trail if _seconds(entry.at) >= oldest]
    found, size = list[Entry](), 0
    for entry in reversed(young[-min(limits.entries, MOST_ENTRIES) :] if limits.entries else ()):
        size += len(msgspec.json.encode(entry))
        if size > _LARGEST_BYTES:
            break
        found.append(entry)
    return tuple(reversed(found))


def continued(theirs: Iterable[Entry], ours: Iterable[Entry]) -> tuple[Entry, ...]:
    """The trail that the API server keeps, and after it what we noted since; both oldest first.

    A fact goes on from the value that the trail ends with: who wrote it may have seen a value in between that we did
    not. What then is no change is left out.
    """
    trail = list(theirs)
    values = {_fact(entry): entry.after for entry in trail}
    for entry in ours:
        before = entry.before if entry.kind == _MORE else values.get(_fact(entry), entry.before)
        if before != entry.after:
            trail.append(entry if before == entry.before else replace(entry, before=before))
            values[_fact(entry)] = entry.after
    return tuple(trail)


def unwritten(ours: Iterable[Entry], theirs: Iterable[Entry]) -> tuple[Entry, ...]:
    """What we noted, oldest first, that the trail which the API server keeps does not have yet.

    The leader notes the same changes a little sooner or later, and may see several at once: so what counts is how far
    its trail has come in each fact, and not whether an entry is there.
    """
    ours, theirs = tuple(ours), tuple(theirs)
    last = {_fact(entry): entry for entry in theirs}
    by_fact: dict[Fact, list[int]] = {}
    for number, entry in enumerate(ours):
        by_fact.setdefault(_fact(entry), []).append(number)
    written: set[int] = set()
    for fact, numbers in by_fact.items():
        if (end := last.get(fact)) is not None:
            entries = [ours[number] for number in numbers]
            written.update(numbers[: _own(entries, end, theirs) or _reached(entries, end)])
    return tuple(entry for number, entry in enumerate(ours) if number not in written)


def _own(entries: Sequence[Entry], end: Entry, theirs: Sequence[Entry]) -> int:
    """The same as ``_reached`` where the very entry is ours, which may be there more than once; 0 where it is not."""
    same = [number for number, entry in enumerate(entries, 1) if entry == end]
    return same[min(len(same), theirs.count(end)) - 1] if same else 0


def _reached(entries: Sequence[Entry], end: Entry) -> int:
    """How many of these changes of one fact are behind a trail that ends with ``end``: up to the same value.

    Where a fact went back and forth, it had that value several times: the one closest in time is meant.
    """
    until = _seconds(end.at)
    found = {
        number: seconds
        for number, entry in enumerate(entries, 1)
        if entry.after == end.after and (seconds := abs(_seconds(entry.at) - until)) <= _SAME_SECONDS
    }
    if entries[0].before == end.after:
        found[0] = max(0, until - _seconds(entries[0].at))
    if not found:
        return sum(_seconds(entry.at) < until for entry in entries)
    return min(found, key=lambda number: (found[number], -number))


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


def _fact(entry: Entry) -> Fact:
    return entry.kind, entry.subject, entry.path


def _seconds(at: str) -> int:
    """Unix seconds of a moment; one that no calendar has is long ago."""
    try:
        year, month, day = (int(part) for part in at[:10].split("-"))
        hour, minute, second = (int(part) for part in at[11:19].split(":"))
        return calendar.timegm((year, month, day, hour, minute, second))
    except ValueError:
        return 0
