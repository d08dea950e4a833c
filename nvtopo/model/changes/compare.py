"""What differs between two records of one thing, fact by fact. New fields of any record are compared automatically."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from nvtopo.model.changes.identity import match, name_of, required
from nvtopo.model.formats.cpulist import format_cpulist
from nvtopo.model.records.nvlinks import NvLinkBundle, unfold
from nvtopo.model.records.record import Record

_STATE = "state"


class Difference(NamedTuple):
    """One fact on both sides, as in JSON; None where it is not known."""

    path: str
    before: Any
    after: Any


def differences(before: Struct, after: Struct, path: str = "") -> Iterator[Difference]:
    """The facts that differ between two records of one type, in the order of its fields."""
    for name, said in zip(after.__struct_fields__, after.__struct_encode_fields__, strict=True):
        yield from of_fact(_join(path, said), getattr(before, name), getattr(after, name))


def of_fact(path: str, before: object, after: object) -> Iterator[Difference]:
    """What differs between two values of one fact; at least one difference where they are not equal."""
    if before == after:
        return
    found = list(_parts(path, before, after))
    yield from found or [difference(path, before, after)]


def difference(path: str, before: object, after: object) -> Difference:
    """Two values as they are in JSON. An empty text is a fact that is not known, unless the other side is null."""
    values = (_value(before), _value(after))
    return Difference(path, *(values if values[0] != values[1] else (before, after)))


def _parts(path: str, before: object, after: object) -> Iterator[Difference]:
    """Differences within two values that are made of parts."""
    sides = (before, after)
    if any(isinstance(side, Record) for side in sides):
        yield from _nested(path, before, after)
    elif any(isinstance(side, dict) for side in sides):
        yield from _keyed(path, _items(before), _items(after))
    elif _holds(sides, NvLinkBundle):
        yield from _nvlinks(path, _tuple(before), _tuple(after))
    elif _holds(sides, Record):
        yield from _members(path, _tuple(before), _tuple(after))


def _value(value: object) -> Any:
    if isinstance(value, (Record, tuple, dict)):
        return msgspec.json.decode(msgspec.json.encode(value))  # noqa: TID251 - our own, this very moment
    return None if value == "" else value


def _join(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


def _nested(path: str, before: object, after: object) -> Iterator[Difference]:
    """Of a record within a record; where one side has none, against an empty one."""
    records = [side for side in (before, after) if isinstance(side, Record)]
    if len(records) < len((before, after)) and required(type(records[0])):
        return
    one, other = (side if isinstance(side, Record) else type(records[0])() for side in (before, after))
    yield from differences(one, other, path)


def _items(value: object) -> dict[str, object]:
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}


def _keyed(path: str, before: dict[str, object], after: dict[str, object]) -> Iterator[Difference]:
    for key in sorted({*before, *after}):
        yield from of_fact(_join(path, key), before.get(key), after.get(key))


def _holds(sides: Iterable[object], kind: type[Record]) -> bool:
    return any(isinstance(side, tuple) and any(isinstance(item, kind) for item in side) for side in sides)


def _tuple(value: object) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else ()


def _members(path: str, before: tuple[Record, ...], after: tuple[Record, ...]) -> Iterator[Difference]:
    """Of the things that a thing has, such as ports, each by what it is known by."""
    couples, gone, new = match(before, after)
    for one, other in couples:
        yield from differences(one, other, _join(path, name_of(other)))
    for thing in gone:
        yield difference(_join(path, name_of(thing)), thing, None)
    for thing in new:
        yield difference(_join(path, name_of(thing)), None, thing)


def _nvlinks(path: str, before: tuple[NvLinkBundle, ...], after: tuple[NvLinkBundle, ...]) -> Iterator[Difference]:
    """States of all links at once; of links whose state stayed, whatever else changed.

    A link that went down takes its rate and its other side with it, and that is one change.
    """
    one, other = unfold(before), unfold(after)
    if {link: facts[_STATE] for link, facts in one.items()} != {link: facts[_STATE] for link, facts in other.items()}:
        yield Difference(f"{path}.{_STATE}", _folded(one, _STATE, one), _folded(other, _STATE, other))
    same = [link for link in one if link in other and one[link][_STATE] == other[link][_STATE]]
    for fact in dict.fromkeys(name for facts in (*one.values(), *other.values()) for name in facts):
        changed = [link for link in same if one[link].get(fact) != other[link].get(fact)]
        if changed:
            yield Difference(f"{path}.{fact}", _folded(one, fact, changed), _folded(other, fact, changed))


def _folded(links: dict[int, dict[str, Any]], fact: str, chosen: Iterable[int]) -> dict[str, Any]:
    """Link numbers in the kernel's list format → the value they share: ``{"0-16": "active", "17": "inactive"}``."""
    alike: dict[str, list[int]] = {}
    for link in sorted(chosen):
        alike.setdefault(repr(links[link].get(fact)), []).append(link)
    return {format_cpulist(numbers): _value(links[numbers[0]].get(fact)) for numbers in alike.values()}
