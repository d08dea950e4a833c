"""Slurm's ``torus3d``: nodes in a box of x by y by z, and the boxes inside it that a job may get."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from nvtopo.cluster.claims import Claim, Reading
from nvtopo.fabrics.documents import entries, mapping, text
from nvtopo.fabrics.hostlist import Expander
from nvtopo.fabrics.refused import Refused


class _Box(NamedTuple):
    x: int
    y: int
    z: int

    def within(self, other: "_Box") -> bool:
        return self.x <= other.x and self.y <= other.y and self.z <= other.z

    @property
    def size(self) -> int:
        return self.x * self.y * self.z

    def __str__(self) -> str:
        return f"{self.x}x{self.y}x{self.z}"


def read(body: Any, source: str) -> Reading:
    """Each torus is a leaf: all of its nodes are joined directly.

    Raises:
        Refused: Slurm would refuse it.
    """
    given = mapping(body, "torus3d")
    claims: list[Claim] = []
    names: set[str] = set()
    expand = Expander()
    for one in entries(given.get("toruses", given.get("torus3ds")), "torus3d.toruses"):
        name = text(one.get("torus3d", one.get("torus", one.get("name"))), "torus")
        if name in names:
            raise Refused(f"expected each torus once, {name} is defined twice")
        names.add(name)
        claims += [Claim(node, "leaf", name, source) for node in _nodes(name, one, expand)]
    return Reading(claims=tuple(claims))


def _nodes(name: str, one: Mapping[str, Any], expand: Expander) -> tuple[str, ...]:
    box = _box(one.get("dims", one), f"torus {name}")
    if one.get("nodes") and one.get("regions"):
        raise Refused(f"expected nodes or regions in a torus, {name} has both")
    for placement in entries(one.get("placements"), "placements") if one.get("placements") else ():
        inner = _box(placement.get("dims", placement), f"a placement of torus {name}")
        if not inner.within(box):
            raise Refused(f"expected placements within {box}, torus {name} has one of {inner}")
    if one.get("regions"):
        nodes: list[str] = []
        for region in entries(one["regions"], "regions"):
            part = _box(region.get("dims", region), f"a region of torus {name}")
            if not part.within(box):
                raise Refused(f"expected regions within {box}, torus {name} has one of {part}")
            nodes += _filled(region, part, f"a region of torus {name}", expand)
        return tuple(nodes)
    return _filled(one, box, f"torus {name}", expand)


def _filled(one: Mapping[str, Any], box: _Box, what: str, expand: Expander) -> tuple[str, ...]:
    nodes = expand(text(one.get("nodes"), "nodes"))
    if len(nodes) != box.size:
        raise Refused(f"expected {box.size} nodes in {what} of {box}, got {len(nodes)}")
    return nodes


def _box(given: Any, what: str) -> _Box:
    sides = given if isinstance(given, list) else [mapping(given, what).get(axis) for axis in "xyz"]
    whole = [side for side in sides if isinstance(side, int) and not isinstance(side, bool) and side > 0]
    if len(whole) != 3 or len(sides) != 3:  # noqa: PLR2004 - x, y, z
        raise Refused(f"expected x, y and z above 0 for {what}, got {sides!r:.60}")
    return _Box(*whole)
