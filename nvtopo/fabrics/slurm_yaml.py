"""``topology.yaml`` of Slurm: several named topologies, each of one kind."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from nvtopo.cluster.claims import Reading
from nvtopo.fabrics import slurm, slurm_torus
from nvtopo.fabrics.documents import entries, mapping, text
from nvtopo.fabrics.refused import Refused
from nvtopo.fabrics.slurm import Block, Switch


def looks_like(document: Any) -> bool:
    """Whether it is a list of topologies, or one that stands alone."""
    if isinstance(document, dict):
        return "topology" in document and any(kind in document for kind in _READERS)
    marks = {"topology", "cluster_default"}
    return isinstance(document, list) and any(isinstance(one, dict) and marks & one.keys() for one in document)


def read(document: Any) -> Reading:
    """What all topologies say; of several of one kind the cluster's default counts as Slurm's.

    Raises:
        Refused: Slurm would refuse it.
    """
    names: set[str] = set()
    given: list[tuple[bool, str, str, Any]] = []
    for one in entries(document, "topologies"):
        name = text(one.get("topology"), "topology")
        if name in names:
            raise Refused(f"expected each topology once, {name} is defined twice")
        names.add(name)
        kind = _kind(one, name)
        given.append((one.get("cluster_default") is not True, name, kind, one[kind]))
    parts: list[Reading] = []
    seen: set[str] = set()
    for _, name, kind, body in sorted(given, key=lambda found: found[0]):
        source = f"{slurm.SOURCE}/{name}" if kind in seen else slurm.SOURCE
        seen.add(kind)
        try:
            parts.append(_READERS[kind](body, source))
        except Refused as error:
            raise Refused(f"topology {name}: {error}") from error
    found = Reading(
        claims=tuple(claim for part in parts for claim in part.claims),
        cables=tuple(cable for part in parts for cable in part.cables),
    )
    if not found.claims:
        raise Refused("expected a topology with nodes, found none: a flat topology has no tiers")
    return found


def _kind(one: Mapping[str, Any], name: str) -> str:
    """Which kind it is. ``flat: false`` says that it is not flat."""
    kinds = [kind for kind in _READERS if kind in one and not (kind == "flat" and one[kind] is False)]
    if len(kinds) != 1:
        got = " and ".join(kinds) or "none"
        raise Refused(f"topology {name}: expected exactly one of {', '.join(_READERS)}, got {got}")
    return kinds[0]


def _tree(body: Any, source: str) -> Reading:
    switches = entries(mapping(body, "tree").get("switches"), "tree.switches")
    return slurm.of_tree(
        [Switch(text(one.get("switch"), "switch"), hosts(one, "nodes"), hosts(one, "children")) for one in switches],
        source,
    )


def _block(body: Any, source: str) -> Reading:
    given = mapping(body, "block")
    sizes = given.get("block_sizes")
    blocks = entries(given.get("blocks"), "block.blocks")
    return slurm.of_blocks(
        [Block(text(one.get("block"), "block"), hosts(one, "nodes")) for one in blocks], sizes_of(sizes), source
    )


def _ring(body: Any, source: str) -> Reading:
    rings = entries(mapping(body, "ring").get("rings"), "ring.rings")
    return slurm.of_rings([Block(text(one.get("ring"), "ring"), hosts(one, "nodes")) for one in rings], source)


def _flat(body: Any, _source: str) -> Reading:
    if not isinstance(body, bool | dict):
        raise Refused(f"expected true or options as flat, got {type(body).__name__}")
    return Reading()


def sizes_of(given: Any) -> list[int]:
    """The block sizes; Refused if they are no numbers."""
    if given is None:
        return []
    found = given if isinstance(given, list) else [given]
    if not all(isinstance(size, int) and not isinstance(size, bool) for size in found):
        raise Refused(f"expected numbers as block_sizes, got {given!r:.60}")
    return found


def hosts(one: Mapping[str, Any], key: str) -> str:
    """A hostlist, or a list of them; Refused if it is neither."""
    given = one.get(key)
    if given is None:
        return ""
    if isinstance(given, list):
        return ",".join(text(part, key) for part in given)
    return text(given, key)


_READERS: Final[Mapping[str, Callable[[Any, str], Reading]]] = {
    "block": _block,
    "flat": _flat,
    "ring": _ring,
    "torus3d": slurm_torus.read,
    "tree": _tree,
}
