"""The ResourceSlices of a cluster by node, and which node a pool is of."""

from collections import Counter
from collections.abc import Mapping

from nvtopo.cluster.slices import Slice

Whose = tuple[str, str]
"""Driver and node of a slice; the node is ``""`` for a slice of none."""


class SliceIndex:
    """Slices by name. Each change returns whose slices it changed."""

    def __init__(self) -> None:
        """No slice is known yet."""
        self._slices: dict[str, Slice] = {}
        self._of_node: dict[str, set[str]] = {}
        self._homes: dict[tuple[str, str], Counter[str]] = {}

    def replace(self, slices: Mapping[str, Slice]) -> frozenset[Whose]:
        """These slices, and no others; what stays as it was is no change."""
        changed = set[Whose]()
        for name in [name for name in self._slices if name not in slices]:
            changed |= self.change(name, None)
        for name, one in slices.items():
            changed |= self.change(name, one)
        return frozenset(changed)

    def change(self, name: str, now: Slice | None) -> frozenset[Whose]:
        """One slice is like this now, or gone."""
        before = self._slices.get(name)
        if before == now:
            return frozenset()
        if before is not None:
            self._drop(name, before)
        if now is not None:
            self._put(name, now)
        return frozenset((one.driver, one.node) for one in (before, now) if one is not None)

    def of_node(self, node: str) -> list[Slice]:
        """Its slices, in the order of their names."""
        return [self._slices[name] for name in sorted(self._of_node.get(node, ()))]

    def homes(self, driver: str, pool: str) -> frozenset[str]:
        """The nodes that say that a pool is theirs: none of a pool that is of no node."""
        return frozenset(self._homes.get((driver, pool), ())) - {""}

    def home(self, driver: str, pool: str) -> str | None:
        """The node that a pool is of; None if there is no such pool, or it is of several nodes or of none."""
        nodes = self._homes.get((driver, pool), Counter())
        return next(iter(nodes)) or None if len(nodes) == 1 else None

    def shared(self, driver: str, pool: str) -> bool:
        """Whether several nodes say that a pool is theirs: whose it is, nobody knows."""
        return len(self._homes.get((driver, pool), ())) > 1

    def __contains__(self, node: object) -> bool:
        """Whether a node has slices."""
        return node in self._of_node

    def _put(self, name: str, one: Slice) -> None:
        self._slices[name] = one
        self._of_node.setdefault(one.node, set()).add(name)
        self._homes.setdefault((one.driver, one.pool), Counter())[one.node] += 1

    def _drop(self, name: str, one: Slice) -> None:
        del self._slices[name]
        of_node, homes = self._of_node[one.node], self._homes[one.driver, one.pool]
        of_node.discard(name)
        if not of_node:
            del self._of_node[one.node]
        homes[one.node] -= 1
        if not homes[one.node]:
            del homes[one.node]
        if not homes:
            del self._homes[one.driver, one.pool]
