"""What machines of one shape have in common, so that one that has less is known from its first reading.

Only whole boards are learned from, because all of a product have as many GPUs: of PCIe cards a chassis holds as many
as were bought, and a virtual machine has what it was given.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from nvtopo.cluster.nodes import GraphNode
from nvtopo.model.conclusions import nvlink, presence
from nvtopo.model.conclusions.links import usable_links
from nvtopo.model.records.expected import Expectation
from nvtopo.model.records.node import NodeTopology

#: Machines that must have the same, and how many of a hundred that tell.
_LEAST_NODES: Final = 3
_QUORUM_PERCENT: Final = 75


class Shape(NamedTuple):
    """By what machines are known to be of one kind."""

    product: str
    """The system's, from its firmware."""
    gpu: str
    """Product name of every GPU."""


class Sight(NamedTuple):
    """What one machine has; None is not known."""

    gpus: int
    rails: int | None = None
    nvlinks_per_gpu: int | None = None


def shape_of(node: NodeTopology) -> Shape | None:
    """The shape of a machine; None of one that nothing can be learned from."""
    names = {gpu.name for gpu in node.gpus}
    if node.host.hypervisor or not node.host.product or len(names) != 1 or "" in names or nvlink.are_cards(node):
        return None
    return Shape(node.host.product, names.pop())


def sight_of(node: GraphNode) -> tuple[Shape, Sight] | None:
    """What a machine shows of its shape; None if it shows nothing."""
    topology = node.topology
    if topology is None or topology.unseen or (shape := shape_of(topology)) is None:
        return None
    links = [usable_links(gpu) for gpu in topology.gpus if gpu.nvlinks and not gpu.mig]
    return shape, Sight(presence.accounted(topology), node.rail_nics, max(links, default=None))


def learned(sights: Mapping[Sight, int], before: Expectation | None = None) -> Expectation | None:
    """What a quorum of the machines of one shape has, field by field; without one, what was learned ``before``.

    ``sights`` says how many machines show what. None if nothing is learned.
    """
    known = before or Expectation()
    gpus, rails, links = (_agreed(sights, name) for name in Sight._fields)
    found = Expectation(
        gpus=known.gpus if gpus is None else gpus,
        rails=known.rails if rails is None else rails,
        nvlinks_per_gpu=known.nvlinks_per_gpu if links is None else links,
    )
    return None if found == Expectation() else found


def _agreed(sights: Mapping[Sight, int], name: str) -> int | None:
    counts: Counter[int] = Counter()
    for sight, nodes in sights.items():
        if (value := getattr(sight, name)) is not None:
            counts[value] += nodes
    value, nodes = max(counts.items(), key=lambda item: item[1], default=(0, 0))
    return value if nodes >= _LEAST_NODES and nodes * 100 >= _QUORUM_PERCENT * counts.total() else None


class Learning:
    """What the fleet shows, counted by shape: work is proportional to what changed."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._nodes: dict[str, tuple[Shape, Sight]] = {}
        self._sights: dict[Shape, Counter[Sight]] = {}
        self._learned: dict[Shape, Expectation] = {}

    def see(self, changed: Mapping[str, GraphNode | None]) -> frozenset[str]:
        """Takes in nodes as they are now, None for one that is gone. The products of which another thing is learned."""
        shapes = {shape for name, node in changed.items() for shape in self._replace(name, node)}
        return frozenset(shape.product for shape in shapes if self._relearn(shape))

    def of(self, node: GraphNode) -> Expectation | None:
        """What is learned of the node's shape; of a machine without a GPU, of its product's only one."""
        topology = node.topology
        if topology is None or topology.host.hypervisor:
            return None
        if topology.gpus:
            shape = shape_of(topology)
            return None if shape is None else self._learned.get(shape)
        shapes = [shape for shape in self._sights if shape.product == topology.host.product]
        return self._learned.get(shapes[0]) if len(shapes) == 1 else None

    def _replace(self, name: str, node: GraphNode | None) -> Iterable[Shape]:
        now = None if node is None else sight_of(node)
        before = self._nodes.pop(name, None)
        if now is not None:
            self._nodes[name] = now
            self._sights.setdefault(now[0], Counter())[now[1]] += 1
        if before is not None:
            self._take_away(*before)
        return {shape for shape, _ in filter(None, (before, now))} if before != now else ()

    def _take_away(self, shape: Shape, sight: Sight) -> None:
        sights = self._sights[shape]
        sights[sight] -= 1
        if not sights[sight]:
            del sights[sight]

    def _relearn(self, shape: Shape) -> bool:
        before = self._learned.get(shape)
        if not self._sights[shape]:  # the last machine of the shape is gone
            del self._sights[shape]
            return self._learned.pop(shape, None) is not None
        now = learned(self._sights[shape], before)
        if now is not None:
            self._learned[shape] = now
        return now != before
