"""Where the way of a label ends: the facts, the feature file, NFD's worker, NFD's master, the Node.

A node's agent says which labels follow from its facts. Everything after that is other programs' work, so each place is
compared with what the agent says. What could not be looked at is unknown and never "no".
"""

from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

from nvtopo.model.conclusions.label_table import PRODUCT_LABELS, row_of
from nvtopo.model.records.record import Record

LabelStage = Literal["facts", "feature-file", "node-feature", "node"]
State = Literal["passed", "absent", "missing", "differs", "left-over", "unknown"]
"""``absent``: there is none, by the facts. ``missing``: there should be one. ``differs``: it has another value.
``left-over``: there should be none."""
Verdict = Literal["arrives", "absent", "stops", "cannot-know"]

#: Where NFD puts a label that has no namespace.
NFD_PREFIX: Final = "feature.node.kubernetes.io/"

Labels = Mapping[str, str]


class NotSeen(NamedTuple):
    """A place that could not be looked at, and why."""

    reason: str


Due = str | NotSeen | None
"""What a label should be by the facts; None if it should not be there."""


class FileSeen(NamedTuple):
    """A node's feature file."""

    path: str
    labels: Labels
    expired: str = ""
    """Since when, if it has expired."""


class ObjectSeen(NamedTuple):
    """One of the NodeFeature objects of a node."""

    name: str
    """With its namespace."""
    labels: Labels


class Way(NamedTuple):
    """What was seen at each place; None where the question is not about that place."""

    facts: Labels | NotSeen
    file: FileSeen | NotSeen | None = None
    objects: tuple[ObjectSeen, ...] | NotSeen | None = None
    node: Labels | NotSeen | None = None

    def with_product(self, labels: Labels) -> "Way":
        """With the labels of ``--product-labels`` among the facts, if one of them was seen anywhere."""
        objects = () if self.objects is None or isinstance(self.objects, NotSeen) else self.objects
        places: list[Labels] = [one.labels for one in objects]
        if isinstance(self.file, FileSeen):
            places.append(self.file.labels)
        if isinstance(self.node, Mapping):
            places.append(self.node)
        if isinstance(self.facts, NotSeen) or not any(row.name in place for row in PRODUCT_LABELS for place in places):
            return self
        return self._replace(facts={**self.facts, **labels})


class Step(Record, frozen=True, kw_only=True):
    """What was found at one place."""

    place: LabelStage
    state: State
    said: str


class LabelPath(Record, frozen=True, kw_only=True, omit_defaults=False):
    """The way of one label."""

    label: str
    verdict: Verdict
    ends: LabelStage | None
    """The place that it does not pass; null if it arrives."""
    steps: tuple[Step, ...]
    remedy: str = ""


_REMEDIES: Final[Mapping[LabelStage, str]] = {
    "feature-file": (
        "Look at the agent's log for the sink nfd; its --features-dir must be the directory that NFD reads."
    ),
    "node-feature": (
        "On the node, run `nvtopo why`, then look at the log of NFD's worker there: it names a line that it refuses and"
        " a file that has expired. Agent and worker must mount one directory of the host."
    ),
    "node": (
        "Look at the log of NFD's master: whether it runs, and whether it denies the label's namespace (denyLabelNs,"
        " extraLabelNs)."
    ),
}
_LEFT_OVER: Final = "nvtopo did not write it. See who did: kubectl get node NODE -o yaml --show-managed-fields."
_MISSING: Final = "there is no such label"


def of(label: str, way: Way) -> LabelPath:
    """The way of one label, named as ``features`` names it."""
    due = way.facts if isinstance(way.facts, NotSeen) else way.facts.get(label)
    steps = tuple(_steps(label, due, way))
    last = steps[-1]
    if not isinstance(due, str):
        return _without_due(label, due, steps)
    stop = next((step for step in steps if step.state in ("missing", "differs")), None)
    if last.state == "passed":
        return LabelPath(label=label, verdict="arrives", ends=None, steps=steps)
    if stop is None:
        unknown = next(step for step in steps if step.state == "unknown")
        return LabelPath(label=label, verdict="cannot-know", ends=unknown.place, steps=steps)
    return LabelPath(label=label, verdict="stops", ends=stop.place, steps=steps, remedy=_REMEDIES[stop.place])


def all_of(way: Way) -> tuple[LabelPath, ...]:
    """The ways of all labels that the facts give, and of those of ours that the Node has without them."""
    named = set() if isinstance(way.facts, NotSeen) else set(way.facts)
    if isinstance(way.node, Mapping):
        own = (name.removeprefix(NFD_PREFIX) for name in way.node)
        named |= {name for name in own if row_of(name) is not None}
    return tuple(of(label, way) for label in sorted(named))


def of_node(way: Way) -> Labels | NotSeen:
    """The labels that a scheduler sees: the Node's; if the question is not about it, those that the facts give."""
    if way.node is not None:
        return way.node
    if isinstance(way.facts, NotSeen):
        return way.facts
    return {spellings(name)[0]: value for name, value in way.facts.items()}


def spellings(label: str) -> tuple[str, ...]:
    """The names that a label may have beyond the feature file."""
    return (label,) if "/" in label else (NFD_PREFIX + label, label)


def _without_due(label: str, due: NotSeen | None, steps: tuple[Step, ...]) -> LabelPath:
    """A label that the facts do not give, or of which that is not known."""
    verdict: Verdict = "absent" if due is None else "cannot-know"
    left = steps[-1].place == "node" and steps[-1].state == "left-over"
    return LabelPath(label=label, verdict=verdict, ends="facts", steps=steps, remedy=_LEFT_OVER if left else "")


def _steps(label: str, due: Due, way: Way) -> Iterator[Step]:
    yield _facts(label, due)
    if way.file is not None:
        yield _file(label, due, way.file)
    if way.objects is not None:
        yield _objects(label, due, way.objects)
    if way.node is not None:
        yield _node(label, due, way.node)


def _facts(label: str, due: Due) -> Step:
    if isinstance(due, NotSeen):
        return Step(place="facts", state="unknown", said=due.reason)
    if due is not None:
        return Step(place="facts", state="passed", said=due)
    row = row_of(label)
    when = row.absent.replace("`", "") if row is not None else ""
    return Step(place="facts", state="absent", said=f"absent when {when}")


def _file(label: str, due: Due, file: FileSeen | NotSeen) -> Step:
    if isinstance(file, NotSeen):
        return Step(place="feature-file", state="unknown", said=file.reason)
    if file.expired and label in file.labels:
        return Step(place="feature-file", state="missing", said=f"{file.path} has expired at {file.expired}")
    return _compared("feature-file", due, file.labels.get(label), f"{file.path}: ")


def _objects(label: str, due: Due, objects: tuple[ObjectSeen, ...] | NotSeen) -> Step:
    if isinstance(objects, NotSeen):
        return Step(place="node-feature", state="unknown", said=objects.reason)
    if not objects and isinstance(due, str):
        said = "no NodeFeature object is of this node: NFD's worker does not run there"
        return Step(place="node-feature", state="missing", said=said)
    found = [(one.name, one.labels[name]) for one in objects for name in spellings(label) if name in one.labels]
    named = ", ".join(one.name for one in objects)
    if not found:
        return _compared("node-feature", due, None, f"{named}: " if named else "")
    # NFD merges the objects; one that has the value is enough to go on
    name, value = next(((name, value) for name, value in found if value == due), found[0])
    return _compared("node-feature", due, value, f"{name}: ")


def _node(label: str, due: Due, node: Labels | NotSeen) -> Step:
    if isinstance(node, NotSeen):
        return Step(place="node", state="unknown", said=node.reason)
    value = next((node[name] for name in spellings(label) if name in node), None)
    return _compared("node", due, value, "")


def _compared(place: LabelStage, due: Due, value: str | None, head: str) -> Step:
    """What a place has, beside what it should have."""
    said = head + (_MISSING if value is None else value)
    if isinstance(due, NotSeen):
        return Step(place=place, state="unknown", said=said)
    if value == due:
        return Step(place=place, state="absent" if due is None else "passed", said=said)
    return Step(place=place, state="missing" if value is None else "left-over" if due is None else "differs", said=said)
