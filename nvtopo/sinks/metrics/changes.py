"""How often a node's topology changed, on the metrics page: by what differs from one reading to the next."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from nvtopo.model.changes.change import Change
from nvtopo.model.records.node import NodeTopology
from nvtopo.sinks.metrics.series import Family, counter, declared

CHANGES = counter(
    "nvtopo_topology_changes_total",
    "Number of readings that differ from the one before, by the part of the topology that differs.",
    ("fact",),
    source="the latest reading and the one before",
)
SERIES = declared(globals())

FACTS: Final = NodeTopology.__struct_fields__
"""What can differ: the parts of a node."""

_OF_KIND: Final = dict(zip(NodeTopology.__struct_encode_fields__, FACTS, strict=True))


def differing(found: Iterable[Change]) -> frozenset[str]:
    """Those of ``FACTS`` that these changes are about; what only follows from a fact is counted with that."""
    return frozenset(_OF_KIND[change.kind] for change in found if change.kind in _OF_KIND)


def families(counts: Mapping[str, int]) -> Iterator[Family]:
    """All facts, from 0 on, so that the first change is an increase."""
    family = Family(CHANGES)
    for fact in FACTS:
        family.add(counts.get(fact, 0), fact)
    yield family
