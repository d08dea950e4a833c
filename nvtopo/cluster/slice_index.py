"""The ResourceSlices of a cluster by node, and which node a pool is of."""

from collections import Counter
from collections.abc import Mapping

from nvtopo.cluster.slices import Slice


class SliceIndex:
    """Slices by name. Each change returns the nodes whose slices it changed: ``""`` for slices of no node."""

    def __init__(self) -> None:
        """No slice is known yet."""
        self._slices: dict[str, Slice] = {}
        self._of_node: dict[str, set[str]] = {}
        self._homes: dict[tuple[str, str], Counter[str]] = {}

    def replace(self, slices: Mapping[str, Slice]) -> frozenset[str]:
        """These slices, and no others; the nodes of those before and of these."""
        before = frozenset(self._of_node)
        self._slices, self._of_node, self._homes = {}, {}, {}
        for name, one in slices.items():
            self._put(name, one)
        return before | self._of_node.keys()

    def change(self, name: str, now: Slice | None) -> frozenset[str]:
        """One slice is like this now, or gone; the nodes that it was and is of."""
        before = self._slices.pop(name, None)
        if before is not None:
            _drop(self._of_node, before.node, name)
            homes = self._homes[before.driver, before.pool]
            homes[before.node] -= 1
            if not +homes:
                del self._homes[before.driver, before.pool]
        if now is not None:
            self._put(name, now)
        return frozenset(one.node for one in (before, now) if one is not None)

    def of_node(self, node: str) -> list[Slice]:
        """Its slices, in the order of their names."""
        return [self._slices[name] for name in sorted(self._of_node.get(node, ()))]

    def home(self, driver: str, pool: str) -> str | None:
        """The node that a pool is of; None if there is no such pool, or it is of several nodes or of none."""
        nodes = self._nodes(driver, pool)
        return nodes[0] if len(nodes) == 1 and nodes[0] else None

    def shared(self, driver: str, pool: str) -> bool:
        """Whether several nodes say that a pool is theirs: whose it is, nobody knows."""
        return len(self._nodes(driver, pool)) > 1

    def _nodes(self, driver: str, pool: str) -> list[str]:
        return [node for node, count in self._homes.get((driver, pool), Counter()).items() if count > 0]

    def __contains__(self, node: object) -> bool:
        """Whether a node has slices."""
        return node in self._of_node

    def _put(self, name: str, one: Slice) -> None:
        self._slices[name] = one
        self._of_node.setdefault(one.node, set()).add(name)
        self._homes.setdefault((one.driver, one.pool), Counter())[one.node] += 1


def _drop(groups: dict[str, set[str]], key: str, name: str) -> None:
    groups[key].discard(name)
    if not groups[key]:
        del groups[key]
