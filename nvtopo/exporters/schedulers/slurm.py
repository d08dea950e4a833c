"""Slurm: ``topology.conf`` as a tree or as blocks, and ``topology.yaml`` with both.

Blocks come in physical order, and stay where the file before has them, since Slurm joins blocks by position. No common
root is invented for fabrics that no cable joins.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from nvtopo.exporters.schedulers import slurm_kept
from nvtopo.exporters.schedulers.hostlist import folded, is_fit
from nvtopo.exporters.schedulers.slurm_kept import NOTHING, Before, Blocks, Switch
from nvtopo.exporters.schedulers.view import Branch, View, branches, names_of
from nvtopo.model.formats.listing import listed

NETWORK: Final[tuple[str, ...]] = ("leaf", "spine", "core", "zone")
"""Tiers that are switches, closest first."""
BLOCKS: Final[tuple[str, ...]] = ("nvlinkDomain", "rack")
"""Tiers that are blocks: the first that is known counts."""

Names = Mapping[str, str | None]
"""Node → its name in Slurm; None for a node that Slurm does not run on. Nodes not here have one name in both."""
_SAME: Final[Names] = MappingProxyType({})


class Wanted(NamedTuple):
    """What is asked for beside the graph."""

    names: Names = _SAME
    sizes: tuple[int, ...] = ()
    """BlockSizes; by default those of the file before, or else the smallest block, doubled."""
    before: Before = NOTHING
    """The file before: its blocks and the nodes that are down keep their places."""


_MOST_NAMED: Final = 8
_PLAIN: Final = Wanted()


def tree(view: View, wanted: Wanted = _PLAIN) -> str:
    """``topology.conf`` for ``TopologyPlugin=topology/tree``."""
    lines = ["# TopologyPlugin=topology/tree"]
    for switch in switches(view, wanted):
        below = f"Switches={folded(switch.switches)}" if switch.switches else f"Nodes={folded(switch.nodes)}"
        lines.append(f"SwitchName={switch.name} {below}")
    lines += _unplaced(view, wanted.names, _tree_tiers(view))
    return "\n".join(lines) + "\n"


def switches(view: View, wanted: Wanted = _PLAIN) -> list[Switch]:
    """The switches, the farthest tier first. One without a node that Slurm knows is left out."""
    tiers = _tree_tiers(view)
    names = _switch_names(view, tiers)
    found: dict[str, Switch] = {}
    for branch in branches(view, tiers):
        found |= {switch.name: switch for switch in _of(branch, names, wanted.names, found)}
    kept = slurm_kept.switches(found, wanted.before, _known(view, wanted.names))
    height: dict[str, int] = {}
    for switch in kept.values():
        height[switch.name] = 1 + max((height.get(name, 0) for name in switch.switches), default=0)
    return sorted(kept.values(), key=lambda switch: -height[switch.name])


def _of(
    branch: Branch, names: Mapping[tuple[str, str], str], slurm: Names, found: Mapping[str, Switch]
) -> Iterator[Switch]:
    """The switch of a domain.

    Slurm takes no switch with both switches and nodes below it, and nothing says that nodes without a leaf share one,
    so each of them gets a leaf of its own.
    """
    name = names[branch.place.tier, branch.place.name]
    named = (names[place.tier, place.name] for place in branch.inner)
    inner = tuple(one for one in named if one in found)
    nodes = tuple(one for node in branch.nodes if (one := _slurm(slurm, node)) is not None)
    if inner and nodes:
        alone = [Switch(_own_leaf(node), (), (node,)) for node in nodes]
        yield from alone
        yield Switch(name, (*inner, *(switch.name for switch in alone)), ())
    elif inner or nodes:
        yield Switch(name, inner, nodes)


def _own_leaf(node: str) -> str:
    (name,) = names_of({node: f"leaf-of-{node}"}).values()
    return name


def _switch_names(view: View, tiers: list[str]) -> dict[tuple[str, str], str]:
    """Domain → the name of its switch: the same, unless a domain of another tier has it too."""
    keys = [(tier, place.name) for tier in tiers for place in view.places[tier]]
    times = Counter(name for _tier, name in keys)
    doubled = names_of({f"{tier}/{name}": f"{tier}-{name}" for tier, name in keys if times[name] > 1})
    return {(tier, name): doubled.get(f"{tier}/{name}", name) for tier, name in keys}


def _tree_tiers(view: View) -> list[str]:
    network = [tier for tier in NETWORK if tier in view.tiers]
    return network or [tier for tier in BLOCKS if tier in view.tiers][:1]


def block(view: View, wanted: Wanted = _PLAIN) -> str:
    """``topology.conf`` for ``TopologyPlugin=topology/block``. A block without nodes keeps a place (Slurm 25.05)."""
    lines = ["# TopologyPlugin=topology/block"]
    found = blocks(view, wanted)
    lines += [f"BlockName={name} Nodes={folded(nodes)}" if nodes else f"BlockName={name}" for name, nodes in found]
    if found:
        lines.append(f"BlockSizes={','.join(map(str, _sizes(found, wanted)))}")
    lines += _unplaced(view, wanted.names, _block_tiers(view))
    return "\n".join(lines) + "\n"


def blocks(view: View, wanted: Wanted = _PLAIN) -> Blocks:
    """The blocks in the order of their lines. One that Slurm never ran on is left out."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for tier in _block_tiers(view):
        for place in view.places[tier]:
            nodes = tuple(one for node in place.nodes if (one := _slurm(wanted.names, node)) is not None)
            if nodes:
                found.append((place.name, nodes))
    return slurm_kept.blocks(found, wanted.before, _known(view, wanted.names))


def _block_tiers(view: View) -> list[str]:
    return [tier for tier in BLOCKS if tier in view.tiers][:1]


def _sizes(found: Blocks, wanted: Wanted) -> tuple[int, ...]:
    return wanted.sizes or wanted.before.sizes or block_sizes(found)


def block_sizes(found: Blocks) -> tuple[int, ...]:
    """The smallest block that has nodes, then twice as much each time, as long as there are so many blocks."""
    filled = [len(nodes) for _name, nodes in found if nodes]
    if not filled:
        return (1,)
    return tuple(min(filled) << power for power in range(len(filled).bit_length()))


def yaml_documents(view: View, wanted: Wanted = _PLAIN) -> list[dict[str, Any]]:
    """``topology.yaml`` (Slurm 25.05 and later): tree and blocks side by side, the tree as default."""
    documents: list[dict[str, Any]] = []
    parts = switches(view, wanted)
    if parts:
        entries = [_switch(switch) for switch in parts]
        documents.append({"topology": "tree", "cluster_default": True, "tree": {"switches": entries}})
    found = blocks(view, wanted)
    if found:
        listed = [{"block": name, **({"nodes": folded(nodes)} if nodes else {})} for name, nodes in found]
        part = {"block_sizes": list(_sizes(found, wanted)), "blocks": listed}
        documents.append({"topology": "block", "cluster_default": not parts, "block": part})
    return documents or [{"topology": "flat", "cluster_default": True, "flat": True}]


def _switch(switch: Switch) -> dict[str, str]:
    below = {"children": folded(switch.switches)} if switch.switches else {"nodes": folded(switch.nodes)}
    return {"switch": switch.name, **below}


def _slurm(names: Names, node: str) -> str | None:
    """Its name in Slurm; None if it does not run Slurm, or if Slurm can't have a node of that name."""
    name = names.get(node, node)
    return name if name is not None and is_fit(name) else None


def _known(view: View, names: Names) -> slurm_kept.Known:
    """The names that have a place now, and those that Slurm still has, if that is known."""
    placed = {_slurm(names, node) for node in view.nodes}
    return slurm_kept.Known(frozenset(placed - {None}), frozenset(names.values()) if names else None)


def _unplaced(view: View, names: Names, tiers: list[str]) -> Iterator[str]:
    lost = [node for node in view.nodes if not any(tier in view.of[node] for tier in tiers)]
    known = [name for name in (_slurm(names, node) for node in lost) if name is not None]
    unfit = [name for node in view.nodes if (name := names.get(node, node)) is not None and not is_fit(name)]
    if unfit:
        yield f"# Left out, since Slurm can't have such names: {listed([ascii(name) for name in unfit], _MOST_NAMED)}"
    if known:
        yield f"# In no place that anybody knows of: {folded(known)}"


def is_nested(sizes: tuple[int, ...]) -> bool:
    """Whether each size is a power of two times the one before, as Slurm demands."""
    return all(later % size == 0 and (later // size).bit_count() == 1 for size, later in pairwise(sizes))
