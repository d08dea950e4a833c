"""What the machines of one shape have in common, fact by fact: a quorum of those that state a fact decides it.

Counts are kept, so that one machine's change costs as much in a large fleet as in a small one.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from nvtopo.cluster.traits import Fact, Shape, Traits, Value

#: Machines that must have the same, and how many of a hundred that state the fact.
LEAST_NODES: Final = 3
QUORUM_PERCENT: Final = 75


class Known(NamedTuple):
    """What is compared of one machine."""

    shape: Shape
    traits: Traits


class Peers:
    """The fleet, counted by shape."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._nodes: dict[str, Known] = {}
        self._counts: dict[Shape, dict[Fact, Counter[Value]]] = {}
        self._agreed: dict[Shape, dict[Fact, Value]] = {}

    def see(self, changed: Mapping[str, Known | None]) -> frozenset[Shape]:
        """Takes in nodes as they are now, None for one that is gone. The shapes that agree on something else now."""
        touched = {place for name, now in changed.items() for place in self._replace(name, now)}
        return frozenset(shape for shape, fact in touched if self._agree(shape, fact))

    def expected(self, shape: Shape) -> Traits:
        """What its machines agree on. Of a machine whose GPUs do not answer, what those of its product agree on."""
        if shape in self._agreed or shape.gpus:
            return self._agreed.get(shape, {})
        alike = [other for other in self._agreed if other.product == shape.product]
        return self._agreed[alike[0]] if len(alike) == 1 else {}

    def nodes(self, shape: Shape) -> frozenset[str]:
        """The machines of a shape, and those of its product whose GPUs do not answer."""
        silent = Shape(shape.product, ())
        return frozenset(name for name, known in self._nodes.items() if known.shape in (shape, silent))

    def _replace(self, name: str, now: Known | None) -> set[tuple[Shape, Fact]]:
        before = self._nodes.pop(name, None)
        if now is not None:
            self._nodes[name] = now
        if before == now:
            return set()
        gone = set() if before is None else {(before.shape, *item) for item in before.traits.items()}
        new = set() if now is None else {(now.shape, *item) for item in now.traits.items()}
        for shape, fact, value in new - gone:
            self._counts.setdefault(shape, {}).setdefault(fact, Counter())[value] += 1
        for shape, fact, value in gone - new:
            self._take_away(shape, fact, value)
        return {(shape, fact) for shape, fact, _ in gone ^ new}

    def _take_away(self, shape: Shape, fact: Fact, value: Value) -> None:
        facts = self._counts[shape]
        facts[fact][value] -= 1
        if not facts[fact][value]:
            del facts[fact][value]
        if not facts[fact]:
            del facts[fact]
        if not facts:
            del self._counts[shape]

    def _agree(self, shape: Shape, fact: Fact) -> bool:
        """Whether another value is agreed on now. Without a quorum, what was agreed before stays."""
        counts = self._counts.get(shape, {}).get(fact)
        known = self._agreed.get(shape, {})
        if counts is None:
            had = known.pop(fact, None) is not None
            if not known:
                self._agreed.pop(shape, None)
            return had
        value, nodes = max(counts.items(), key=lambda item: (item[1], str(item[0])))
        if nodes < LEAST_NODES or nodes * 100 < QUORUM_PERCENT * counts.total() or known.get(fact) == value:
            return False
        self._agreed.setdefault(shape, {})[fact] = value
        return True
