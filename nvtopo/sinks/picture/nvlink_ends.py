"""The NVLinks of a node as pictures need them: usable links from GPUs to switches, and from GPU to GPU."""

from typing import Final, NamedTuple

from nvtopo.model.conclusions import nvlink
from nvtopo.model.formats import cpulist
from nvtopo.model.records.node import NodeTopology

#: Stands for all switches that the driver hides, or the input does not mention.
HIDDEN_SWITCH: Final = ""
#: No board wires more GPUs than this to each other directly and alike; more go through switches.
_MOST_WIRED_ALIKE: Final = 4


class Ends(NamedTuple):
    """Which lines to draw."""

    to_switches: tuple[tuple[int, str, int], ...]
    """(GPU index, the switch's address, links), in order."""
    between: tuple[tuple[int, int, int], ...]
    """(GPU index, GPU index, links), in order: what does not go through switches."""

    @property
    def per_gpu(self) -> dict[int, int]:
        """GPU index → its usable links to switches."""
        found: dict[int, int] = {}
        for index, _, links in self.to_switches:
            found[index] = found.get(index, 0) + links
        return found


def ends_of(node: NodeTopology) -> Ends:
    """The lines of this node."""
    switched = _switched(node) or _stated_switched(node)
    through = {index for index, _ in switched}
    between = (
        (a, b, path.links) for (a, b), path in sorted(nvlink.paths(node).items()) if not (a in through and b in through)
    )
    to_switches = ((index, address, links) for (index, address), links in sorted(switched.items()))
    return Ends(tuple(to_switches), tuple(between))


def _switched(node: NodeTopology) -> dict[tuple[int, str], int]:
    found: dict[tuple[int, str], int] = {}
    for gpu in node.gpus:
        for bundle in gpu.nvlinks:
            if not bundle.usable or bundle.remote != "switch":
                continue
            visible = {str(address): cpulist.count(links) for address, links in bundle.peers.items()}
            hidden = bundle.count - sum(visible.values())
            for address, links in (*visible.items(), (HIDDEN_SWITCH, hidden)):
                if links > 0:
                    found[gpu.index, address] = found.get((gpu.index, address), 0) + links
    return found


def _stated_switched(node: NodeTopology) -> dict[tuple[int, str], int]:
    """Of a tool that states pairs only: a large group in which all pairs are alike has switches in its middle."""
    found: dict[tuple[int, str], int] = {}
    paths = nvlink.paths(node)
    for group in nvlink.groups(node) or ():
        links = {paths[a, b].links for a in group for b in group if (a, b) in paths}
        if len(group) > _MOST_WIRED_ALIKE and len(links) == 1 and nvlink.is_full_mesh(group, paths):
            found |= {(index, HIDDEN_SWITCH): min(links) for index in group}
    return found
