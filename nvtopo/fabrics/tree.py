"""Trees of switches as files state them: nodes on leaves, leaves below others; several roots and several parents too.

A switch's level is its height above the leaves, so that it is in one tier whatever is below it.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from nvtopo.cluster.claims import Cable, Claim, Reading, Tier
from nvtopo.fabrics.grouping import grouped
from nvtopo.fabrics.refused import Refused
from nvtopo.model.conclusions.order import natural

#: Slurm's limit as well.
_MOST_LEVELS: Final = 20
_MOST_WAYS: Final = 20_000_000
#: Height → tier; nothing is said of what is higher.
TIERS_BY_HEIGHT: Final[tuple[Tier, ...]] = ("leaf", "spine", "core", "zone")


class Tree(NamedTuple):
    """Switches, and what is directly below them."""

    nodes: Mapping[str, tuple[str, ...]]
    """Switch → nodes on it; each switch is in it or in ``children``."""
    children: Mapping[str, tuple[str, ...]]
    """Switch → switches below it."""


def reading(tree: Tree, source: str) -> Reading:
    """What the tree says.

    Raises:
        Refused: a switch that is not there, or one that is below itself.
    """
    heights = _heights(tree)
    return Reading(claims=tuple(_claims(tree, heights, source)), cables=tuple(_cables(tree, source)))


def _claims(tree: Tree, heights: Mapping[str, int], source: str) -> Iterator[Claim]:
    on: dict[str, set[str]] = {}
    for switch, nodes in tree.nodes.items():
        for node in nodes:
            on.setdefault(node, set()).add(switch)
    groups = grouped({node: frozenset(switches) for node, switches in on.items()})
    yield from _named(groups.members, groups.switches, "leaf", source)
    above = _above(tree)
    below: dict[str, set[str]] = {}
    for switch, group in groups.switches.items():
        below.setdefault(group, set()).add(switch)
    for height, tier in enumerate(TIERS_BY_HEIGHT[1:], 1):
        outer = grouped(
            {
                group: frozenset(upper for one in switches for upper in above[one] if heights[upper] == height)
                for group, switches in below.items()
            }
        )
        members = {node: outer.members[group] for node, group in groups.members.items() if group in outer.members}
        yield from _named(members, outer.switches, tier, source)


def _named(members: Mapping[str, str], switches: Mapping[str, str], tier: Tier, source: str) -> Iterator[Claim]:
    """A group is called after the first of its switches, by name."""
    names: dict[str, str] = {}
    for switch, group in switches.items():
        names[group] = min(names.get(group, switch), switch, key=natural)
    return (Claim(node, tier, names[group], source) for node, group in members.items())


def _heights(tree: Tree) -> dict[str, int]:
    """Switch → the longest way down."""
    known = {*tree.nodes, *tree.children}
    for switch, children in tree.children.items():
        for child in children:
            if child not in known:
                raise Refused(f"expected every switch to be defined, {switch} names {child}, which is not")
            if child == switch:
                raise Refused(f"expected a tree, {switch} is below itself")
    heights: dict[str, int] = {}
    left = {switch: set(tree.children.get(switch, ())) for switch in known}
    parents = _parents(tree)
    ready = sorted(switch for switch, below in left.items() if not below)
    while ready:
        switch = ready.pop()
        heights[switch] = max((heights[child] + 1 for child in tree.children.get(switch, ())), default=0)
        for parent in parents.get(switch, ()):
            left[parent].discard(switch)
            if not left[parent]:
                ready.append(parent)
    if len(heights) < len(known):
        looped = min((switch for switch in known if switch not in heights), key=natural)
        raise Refused(f"expected a tree, {looped} is below itself by way of other switches")
    if max(heights.values(), default=0) > _MOST_LEVELS:
        raise Refused(f"expected at most {_MOST_LEVELS} levels of switches, got {max(heights.values())}")
    return heights


def _parents(tree: Tree) -> dict[str, set[str]]:
    parents: dict[str, set[str]] = {}
    for switch, children in tree.children.items():
        for child in children:
            parents.setdefault(child, set()).add(switch)
    return parents


def _above(tree: Tree) -> dict[str, frozenset[str]]:
    """Switch with nodes → all switches above it."""
    parents = _parents(tree)
    found: dict[str, frozenset[str]] = {}
    ways = 0
    for leaf in tree.nodes:
        seen: set[str] = set()
        left = list(parents.get(leaf, ()))
        while left:
            switch = left.pop()
            if switch not in seen:
                seen.add(switch)
                left.extend(parents.get(switch, ()))
        found[leaf] = frozenset(seen)
        ways += len(seen)
        if ways > _MOST_WAYS:
            raise Refused(f"expected at most {_MOST_WAYS} ways from leaves to the switches above them")
    return found


def _cables(tree: Tree, source: str) -> Iterator[Cable]:
    pairs = {(upper, lower) for upper, below in (*tree.children.items(), *tree.nodes.items()) for lower in below}
    return (Cable(min(pair), max(pair), source) for pair in sorted(pairs) if pair[0] != pair[1])
