"""GPUs each of which is joined to each other by NVLink: what may be handed out as one NVLink group.

In a group of NVLink (``nvlink.groups``) two GPUs may reach each other through a third only (dgx1-v100-cube-mesh). Such
a group is divided; some joined pairs are then in no mesh, and no pair in a mesh is not joined.
"""

from collections.abc import Set as AbstractSet

from nvtopo.model.conclusions import nvlink
from nvtopo.model.records.node import NodeTopology


def meshes(node: NodeTopology) -> tuple[tuple[int, ...], ...] | None:
    """GPU indices, meshes of more than one; None where the groups can't be known."""
    paths = nvlink.paths(node)
    groups = nvlink.groups(node, paths)
    if groups is None:
        return None
    joined = paths.keys()
    found = [mesh for group in groups for mesh in _divided(group, joined) if len(mesh) > 1]
    return tuple(sorted(found))


def _divided(group: tuple[int, ...], joined: AbstractSet[tuple[int, int]]) -> list[tuple[int, ...]]:
    """The group in meshes: each takes in all that are joined to all that it has, in order."""
    made: list[tuple[int, ...]] = []
    left = list(group)
    while left:
        mesh: list[int] = []
        for index in left:
            if all((member, index) in joined for member in mesh):
                mesh.append(index)
        made.append(tuple(mesh))
        left = [index for index in left if index not in mesh]
    return made
