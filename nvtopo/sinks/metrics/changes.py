"""How often a node's topology changed, on the metrics page: by what differs from one reading to the next."""

from collections.abc import Iterator, Mapping
from typing import Final

from nvtopo.model.node import NodeTopology
from nvtopo.sinks.metrics.series import Family, counter, declared

CHANGES = counter(
    "nvtopo_topology_changes_total",
    "Readings that differ from the one before, by what differs.",
    ("fact",),
    source="this reading and the one before",
)
SERIES = declared(globals())

FACTS: Final = NodeTopology.__struct_fields__
"""What can differ: the parts of a node, named as in the resource."""


def differing(before: NodeTopology, after: NodeTopology) -> tuple[str, ...]:
    """Those of ``FACTS`` that differ."""
    return tuple(fact for fact in FACTS if getattr(before, fact) != getattr(after, fact))


def families(counts: Mapping[str, int]) -> Iterator[Family]:
    """All facts from the start on, so that the first change is an increase."""
    family = Family(CHANGES)
    for fact in FACTS:
        family.add(counts.get(fact, 0), fact)
    yield family
