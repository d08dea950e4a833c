"""What becomes of a change, as spans: from the watch's event to the subscribers and the statuses that are written.

``Spans`` tells nobody and imports nothing. ``nvtopo.aggregator.otlp`` sends spans to a collector of OpenTelemetry.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

D = TypeVar("D")


class Timeline(NamedTuple):
    """When each stage of a graph was reached, in Unix seconds."""

    received: float
    """The first of the events that it holds came from the watch."""
    taken: float
    """The loop took them."""
    folded: float
    """They are in the inventory."""
    built: float
    """The graph is built."""
    published: float
    """Readers have it, and the change that subscribers are sent is encoded."""


class Spans:
    """Nobody is told."""

    def begin(self, generation: int, received: float) -> None:
        """A graph of this generation is about to be published; ``received``: Unix seconds."""

    def published(self, generation: int, timeline: Timeline, *, events: int, nodes: int) -> None:
        """It is: so many events made it, and so many nodes differ."""

    def sent(self, generation: int, began: float, ended: float, size: int) -> None:
        """A subscriber was handed all changes up to this generation, so many bytes; Unix seconds."""

    def wanted(self, name: str, generation: int) -> None:
        """The status of this node follows from the graph of this generation, and will be written."""

    def writes(self, write: Callable[[str, D], None]) -> Callable[[str, D], None]:
        """The same writer of statuses, each write a span."""
        return write

    def close(self) -> None:
        """Send what waits, within two seconds."""
