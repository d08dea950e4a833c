"""Canary nodes against the rest: what differs by group, before a rollout of a driver or firmware goes on."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from nvtopo.cluster.nodes import GraphNode
from nvtopo.cluster.traits import Fact, Shape, Traits, Value, shape_of, traits_of
from nvtopo.model.changes.change import Change
from nvtopo.model.changes.loss import is_loss
from nvtopo.model.records.record import Record


class Difference(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One fact in which canary nodes differ from what most of the others have."""

    shape: str
    """Product and GPUs of the machines that are compared."""
    kind: str
    subjects: tuple[str, ...]
    """The devices; ``host`` or ``node`` for the node itself."""
    path: str
    before: Any
    """What most of the other nodes have; a list if several values are as frequent."""
    after: Any
    """What the canary nodes have."""
    nodes: tuple[str, ...]
    """The canary nodes that have it."""
    canaries: int
    """Canary nodes that state the fact."""
    others: int
    """Other nodes that state it."""
    others_alike: int
    """Other nodes that have the canary nodes' value."""
    loss: bool
    """Whether it is less, or something that works no longer, and more frequent among the canary nodes."""

    @property
    def change(self) -> Change:
        """The same as a typed change of its first subject."""
        return Change(kind=self.kind, subject=self.subjects[0], path=self.path, before=self.before, after=self.after)


class Comparison(Record, frozen=True, kw_only=True, omit_defaults=False):
    """What differs, and what could not be compared."""

    canary: tuple[str, ...]
    rest: tuple[str, ...]
    differences: tuple[Difference, ...]
    not_compared: dict[str, str]
    """Canary node → why it is compared with nothing."""

    @property
    def lost(self) -> bool:
        """Whether a canary node has less than the others."""
        return any(difference.loss for difference in self.differences)


class _Side(NamedTuple):
    """The nodes of one shape on one side."""

    traits: Mapping[str, Traits]

    def counts(self, fact: Fact) -> Counter[Value]:
        return Counter(traits[fact] for traits in self.traits.values() if fact in traits)


def compare(nodes: Mapping[str, GraphNode], canary: Iterable[str], rest: Iterable[str]) -> Comparison:
    """The canary nodes against the rest, shape by shape. Names that are in ``nodes`` only, and on one side only."""
    ours, others = tuple(sorted(canary)), tuple(sorted(rest))
    mine, theirs = _sides(nodes, ours), _sides(nodes, others)
    reasons = dict.fromkeys((name for name in ours if shape_of(nodes[name]) is None), "nothing is known of it")
    for shape, side in mine.items():
        if shape not in theirs:
            reasons |= dict.fromkeys(side.traits, "no other node is of its shape")
    found = [
        one for shape in sorted(mine.keys() & theirs.keys()) for one in _of_shape(shape, mine[shape], theirs[shape])
    ]
    found.sort(key=lambda one: (not one.loss, one.shape, one.kind, one.path, one.subjects, str(one.after)))
    return Comparison(
        canary=ours,
        rest=others,
        differences=tuple(found),
        not_compared={name: reasons[name] for name in sorted(reasons)},
    )


def _sides(nodes: Mapping[str, GraphNode], names: Iterable[str]) -> dict[Shape, _Side]:
    found: dict[Shape, dict[str, Traits]] = {}
    for name in names:
        shape = shape_of(nodes[name])
        if shape is not None:
            found.setdefault(shape, {})[name] = traits_of(nodes[name])
    return {shape: _Side(traits) for shape, traits in found.items()}


def _of_shape(shape: Shape, mine: _Side, theirs: _Side) -> list[Difference]:
    """One entry for all devices in which the same nodes differ in the same way."""
    alike: dict[tuple[Any, ...], list[str]] = {}
    for fact in sorted({fact for traits in mine.traits.values() for fact in traits}):
        for key in _of_fact(fact, mine, theirs):
            alike.setdefault(key, []).append(fact.subject)
    return [_entry(shape, subjects, key) for key, subjects in alike.items()]


def _of_fact(fact: Fact, mine: _Side, theirs: _Side) -> Iterable[tuple[Any, ...]]:
    ours, others = mine.counts(fact), theirs.counts(fact)
    if not others:
        return
    most = max(others.values())
    frequent = tuple(sorted((value for value, nodes in others.items() if nodes == most), key=str))
    for value in sorted(ours, key=str):
        if value not in frequent:
            nodes = tuple(name for name, traits in mine.traits.items() if traits.get(fact) == value)
            yield fact.kind, fact.path, frequent, value, nodes, ours.total(), others.total(), others[value]


def _entry(shape: Shape, subjects: list[str], key: tuple[Any, ...]) -> Difference:
    kind, path, frequent, value, nodes, canaries, others, alike = key
    more = len(nodes) * others > alike * canaries
    changes = [Change(kind=kind, subject=subjects[0], path=path, before=before, after=value) for before in frequent]
    return Difference(
        shape=" with ".join(filter(None, (shape.product, ", ".join(shape.gpus)))),
        kind=kind,
        subjects=tuple(subjects),
        path=path,
        before=frequent[0] if len(frequent) == 1 else list(frequent),
        after=value,
        nodes=nodes,
        canaries=canaries,
        others=others,
        others_alike=alike,
        loss=more and all(map(is_loss, changes)),
    )
