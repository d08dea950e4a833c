"""Slurm's topologies, whatever file says them, and the rules by which Slurm refuses one."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from nvtopo.cluster.claims import Claim, Reading
from nvtopo.fabrics import hostlist
from nvtopo.fabrics.refused import Refused
from nvtopo.fabrics.tree import Tree, reading

SOURCE: Final = "slurm"
_LONGEST_NAME: Final = 64
_LARGEST_RING: Final = 16
_MOST_LEVELS: Final = 16


class Switch(NamedTuple):
    """A line of a tree."""

    name: str
    nodes: str = ""
    """The nodes on it, as a Slurm hostlist."""
    switches: str = ""
    """The switches below it, as a Slurm hostlist."""


class Block(NamedTuple):
    """A block or a ring of nodes."""

    name: str
    nodes: str = ""
    """A hostlist; empty keeps the place of a block that is not there."""


def of_tree(switches: Sequence[Switch], source: str) -> Reading:
    """A tree of switches.

    Raises:
        Refused: Slurm would refuse it.
    """
    _distinct("switch", [switch.name for switch in switches])
    for switch in switches:
        if len(switch.name) > _LONGEST_NAME:
            raise Refused(f"expected names of at most {_LONGEST_NAME} characters, got switch {switch.name}")
        if switch.nodes and switch.switches:
            raise Refused(f"expected nodes or switches below a switch, {switch.name} has both")
    inner = _bounded((switch.name, switch.switches) for switch in switches if switch.switches)
    outer = _bounded((switch.name, switch.nodes) for switch in switches if not switch.switches)
    return reading(Tree(outer, inner), source)


def of_blocks(blocks: Sequence[Block], sizes: Sequence[int], source: str) -> Reading:
    """Blocks, each an NVLink domain.

    Raises:
        Refused: Slurm would refuse it.
    """
    _distinct("block", [block.name for block in blocks])
    _check_sizes(sizes)
    nodes = _bounded(blocks)
    _once("block", nodes)
    claims = (Claim(node, "nvlinkDomain", name, source) for name, names in nodes.items() for node in names)
    return Reading(claims=tuple(claims))


def of_rings(rings: Sequence[Block], source: str) -> Reading:
    """Rings of nodes, each a leaf.

    Raises:
        Refused: Slurm would refuse it.
    """
    _distinct("ring", [ring.name for ring in rings])
    nodes = _bounded(rings)
    for name, names in nodes.items():
        if len(names) > _LARGEST_RING:
            raise Refused(f"expected at most {_LARGEST_RING} nodes in a ring, {name} has {len(names)}")
    _once("ring", nodes)
    claims = (Claim(node, "leaf", name, source) for name, names in nodes.items() for node in names)
    return Reading(claims=tuple(claims))


def _check_sizes(sizes: Sequence[int]) -> None:
    """Each is the first one times a power of two."""
    for size in sizes:
        if size <= 0:
            raise Refused(f"expected block sizes above 0, got {size}")
        times, rest = divmod(size, sizes[0])
        if rest or times & (times - 1) or times.bit_length() > _MOST_LEVELS:
            raise Refused(f"expected block sizes that are {sizes[0]} times a power of two, got {size}")


def _distinct(what: str, names: Sequence[str]) -> None:
    if not names:
        raise Refused(f"expected at least one {what}, found none")
    seen: set[str] = set()
    for name in names:
        if not name:
            raise Refused(f"expected a name for each {what}, found one without")
        if name in seen:
            raise Refused(f"expected each {what} once, {name} is defined twice")
        seen.add(name)


def _once(what: str, nodes: Mapping[str, Sequence[str]]) -> None:
    homes: dict[str, str] = {}
    for name, names in nodes.items():
        for node in names:
            if homes.setdefault(node, name) != name:
                raise Refused(f"expected each node in one {what}, {node} is in {homes[node]} and {name}")


def _bounded(named: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Name → nodes, not too many in all."""
    expand = hostlist.Expander()
    return {name: expand(nodes) for name, nodes in named}
