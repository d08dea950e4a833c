"""Observations of invented nodes, as the loop would pass them to its sinks."""

from nvtopo.model.changes.topology import changes
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.observation import Observation
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.snapshot import Snapshot


def observed(topology: NodeTopology, previous: NodeTopology | None = None) -> Observation:
    """The observation of a node, after the one of ``previous``."""
    found = () if previous is None else changes(previous, topology)
    return Observation(Snapshot(), topology, derive(topology), 0.25, 1_800_000_000, {}, previous, found)
