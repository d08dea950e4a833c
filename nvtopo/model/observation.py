"""``Observation``: one reading of a machine, and what follows from it. The agent's loop makes it, all else reads it."""

from collections.abc import Mapping
from typing import NamedTuple

from nvtopo.model.changes.change import Change
from nvtopo.model.conclusions.bridges import Seen
from nvtopo.model.conclusions.derive import Derived
from nvtopo.model.conclusions.registration import Waiting
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.snapshot import Snapshot


class Observation(NamedTuple):
    """One reading of the machine and what follows from it."""

    snapshot: Snapshot
    """The facts, as the sources gave them."""
    topology: NodeTopology
    """The facts, joined."""
    derived: Derived
    """The conclusions, drawn once."""
    seconds: float
    """How long the reading took."""
    at_seconds: float
    """When it began, Unix time: no fact in it is older."""
    source_seconds: Mapping[str, float] = {}
    """Source → how long it took."""
    previous: NodeTopology | None = None
    """The topology of the reading before; None at the first."""
    changes: tuple[Change, ...] = ()
    """What differs from ``previous``; empty at the first reading, and where nothing does."""
    registering: Waiting = {}
    """GPU → since when its fabric has been in progress."""
    links_seen: Seen = {}
    """GPU → the most NVLinks that a PCIe card had usable since the first reading."""
