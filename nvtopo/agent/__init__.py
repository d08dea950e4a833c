"""The node loop: read → assemble → deliver what changed to each sink, on events and on a slow full pass beneath."""

import logging
import threading
import time
from collections.abc import Sequence

from nvtopo.agent.delivery import Delivery, Sink
from nvtopo.model.assemble import assemble
from nvtopo.model.derive import derive
from nvtopo.sinks.metrics import Observation
from nvtopo.sources import reading
from nvtopo.sources.machine import Machine
from nvtopo.sources.sysfs import SysfsRoot
from nvtopo.sources.watch import Watch

logger = logging.getLogger(__name__)

#: How long events may go on before the machine is read: hot-plug of one NIC is a dozen events.
DEBOUNCE_SECONDS = 0.5


def observe(machine: Machine) -> Observation:
    """Read the machine now, and conclude."""
    began = time.monotonic()
    snapshot = reading.read(machine)
    node = assemble(snapshot)
    return Observation(snapshot, node, derive(node), time.monotonic() - began, time.time())


class Agent:
    """The loop's state: the latest observation, and what each sink has."""

    def __init__(self, machine: Machine, sinks: Sequence[Sink]) -> None:
        self._machine = machine
        self._deliveries = tuple(Delivery(sink) for sink in sinks)
        self._latest: Observation | None = None

    @property
    def root(self) -> SysfsRoot:
        """Where the machine's ``/sys`` and ``/proc`` are."""
        return self._machine.root

    def latest(self) -> Observation | None:
        """The latest observation; None before the first."""
        return self._latest

    @property
    def delivered(self) -> bool:
        """Whether every sink took the latest observation."""
        return self._latest is not None and all(delivery.delivered for delivery in self._deliveries)

    def step(self) -> Observation:
        """Read once and hand the result to every sink that wants it now."""
        observation = observe(self._machine)
        self._log_changes(self._latest, observation)
        self._latest = observation
        for delivery in self._deliveries:
            delivery.attempt(observation, time.monotonic())
        return observation

    def run(self, stop: threading.Event, interval_seconds: float) -> None:
        """Step on every event, and at least every ``interval_seconds``, until ``stop`` is set."""
        changed = threading.Event()
        with Watch(changed):
            while not stop.is_set():
                self.step()
                self._wait(stop, changed, interval_seconds)

    def _wait(self, stop: threading.Event, changed: threading.Event, interval_seconds: float) -> None:
        until = time.monotonic() + min([interval_seconds, *(delivery.retry_in() for delivery in self._deliveries)])
        while not stop.is_set() and not changed.is_set() and time.monotonic() < until:
            changed.wait(min(1.0, max(0.01, until - time.monotonic())))
        if changed.is_set():
            stop.wait(DEBOUNCE_SECONDS)
            changed.clear()

    def _log_changes(self, before: Observation | None, after: Observation) -> None:
        known = before.node.problems if before else ()
        for problem in set(after.node.problems) - set(known):
            logger.warning(
                "cannot read", extra={"source": problem.source, "subject": problem.subject, "reason": problem.reason}
            )
        for problem in set(known) - set(after.node.problems):
            logger.info("can read again", extra={"source": problem.source, "subject": problem.subject})
        if before is not None and before.node != after.node:
            logger.info("topology changed", extra={"gpus": len(after.node.gpus), "nics": len(after.node.nics)})
