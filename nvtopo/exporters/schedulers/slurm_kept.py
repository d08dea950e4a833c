"""What a topology of Slurm takes over from the one before, so that nothing moves because a node is away.

Slurm joins blocks by their position, and drops jobs' knowledge of a node that has no place. So blocks stay in their
order, a block whose nodes are all gone keeps its line, and a node that is powered down stays where it was.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

Blocks = Sequence[tuple[str, tuple[str, ...]]]
"""Name and nodes of each block, in order."""


_MOST_LEVELS: Final = 16


class Switch(NamedTuple):
    """One line of a tree: switches below it, or nodes."""

    name: str
    switches: tuple[str, ...]
    nodes: tuple[str, ...]


class Before(NamedTuple):
    """The file before, with Slurm's names of nodes."""

    switches: Mapping[str, Switch] = MappingProxyType({})
    blocks: Blocks = ()
    sizes: tuple[int, ...] = ()


class Known(NamedTuple):
    """Which nodes there are, by their names in Slurm."""

    seen: frozenset[str | None]
    """Those of the graph: where they are now counts."""
    in_slurm: frozenset[str | None] | None
    """All that Slurm has, if that is known: others are gone for good."""

    def away(self, node: str) -> bool:
        """Whether the node is away for now."""
        return node not in self.seen and (self.in_slurm is None or node in self.in_slurm)


NOTHING: Final = Before()


def blocks(now: Blocks, before: Before, known: Known) -> Blocks:
    """The blocks of the file before in their order, then new ones. A block that was only renamed keeps its place."""
    left = dict(now)
    found: list[tuple[str, tuple[str, ...]]] = []
    old_names = {name for name, _nodes in before.blocks}
    for name, nodes in before.blocks:
        here = tuple(node for node in nodes if not known.away(node))
        heir = name if name in left else _renamed(here, left, old_names)
        members = left.pop(heir, ()) if heir else ()
        found.append((heir or name, _in_old_order(nodes, members, known)))
    return [*found, *left.items()]


def _renamed(nodes: tuple[str, ...], left: Mapping[str, tuple[str, ...]], old: set[str]) -> str | None:
    """The new block that has all of these nodes."""
    homes = {name for name, members in left.items() if name not in old and set(nodes) & set(members)}
    name = homes.pop() if len(homes) == 1 else None
    return name if name is not None and set(nodes) <= set(left[name]) else None


def _in_old_order(old: tuple[str, ...], members: tuple[str, ...], known: Known) -> tuple[str, ...]:
    stay = [node for node in old if node in members or known.away(node)]
    return (*stay, *(node for node in members if node not in stay))


def switches(now: Mapping[str, Switch], before: Before, known: Known) -> dict[str, Switch]:
    """The switches, and those of the file before that nodes which are away hang from; inner ones first."""
    kept = dict(now)
    for switch in _inner_first(before.switches):
        nodes = tuple(node for node in switch.nodes if known.away(node))
        inner = tuple(name for name in switch.switches if name in kept and name not in now)
        own = now.get(switch.name, Switch(switch.name, (), ()))
        if (nodes and own.switches) or (inner and own.nodes):
            continue  # it is of another kind now
        joined = Switch(
            switch.name, (*own.switches, *inner), _in_old_order(switch.nodes, own.nodes, known) if nodes else own.nodes
        )
        if joined.switches or joined.nodes:
            kept[switch.name] = joined
    return kept if len(kept) == len(now) else _sorted(kept)


def _sorted(found: Mapping[str, Switch]) -> dict[str, Switch]:
    return {switch.name: switch for switch in _inner_first(found)}


def _inner_first(found: Mapping[str, Switch]) -> Iterator[Switch]:
    """Each switch after those below it. A loop, and what is deeper than Slurm has levels, is left out."""
    left = dict(found)
    for _level in range(_MOST_LEVELS):
        ready = [switch for switch in left.values() if not any(one in left for one in switch.switches)]
        yield from ready
        for switch in ready:
            del left[switch.name]
