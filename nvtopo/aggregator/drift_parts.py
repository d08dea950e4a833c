"""What an aggregator runs for drift: what is expected, what was accepted, where people work, and the Events."""

import threading
from collections.abc import Callable, Collection, Iterator
from functools import partial

from nvtopo.aggregator.acceptance_watch import AcceptanceWatch
from nvtopo.aggregator.drift_watch import DriftWatch
from nvtopo.aggregator.event_writer import EventWriter
from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.maintenance import Maintenance
from nvtopo.cluster.drift import Timing
from nvtopo.kube import accepted, cordoned
from nvtopo.kube.client import Client
from nvtopo.sinks.metrics.series import Family


class DriftParts:
    """Its threads, still to be started."""

    def __init__(  # noqa: PLR0913 - what it looks at and whom it tells, with defaults
        self,
        client: Client,
        namespace: str,
        aggregator: Aggregator,
        timing: Timing,
        *,
        events: EventWriter | None = None,
        drifted: Callable[[], Collection[str] | None] = lambda: None,
    ) -> None:
        """Without ``events`` no Event tells of drift. ``drifted`` as for ``DriftWatch``."""
        maintenance = Maintenance(partial(cordoned.look, client))
        acceptances = AcceptanceWatch(partial(accepted.look, client, namespace), aggregator.accepted)
        note = None if events is None else events.note
        self._events = events
        self._drift = DriftWatch(aggregator, maintenance.nodes, timing=timing, note=note, drifted=drifted)
        loops = (maintenance.run, acceptances.run, self._drift.run)
        self.loops: tuple[Callable[[threading.Event], None], ...] = loops if events is None else (*loops, events.run)

    def families(self) -> Iterator[Family]:
        """What drifts now, and how many Events wait."""
        yield from self._drift.families()
        if self._events is not None:
            yield from self._events.families()
