"""The node loop: read → assemble → deliver what changed to each sink, on events and on a slow full pass beneath."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final

from nvtopo.agent.changes import Changes
from nvtopo.agent.delivery import Delivery, Sink
from nvtopo.agent.hearing import Hearing
from nvtopo.agent.problem_log import ProblemLog
from nvtopo.model.assemble import assemble
from nvtopo.model.derive import derive
from nvtopo.model.node import NodeTopology
from nvtopo.model.training import BOOT_GRACE_SECONDS
from nvtopo.sinks.metrics import deliveries as delivery_metrics
from nvtopo.sinks.metrics.observation import Observation
from nvtopo.sinks.metrics.series import Families
from nvtopo.sources import reading
from nvtopo.sources.bell import Bell, first_of
from nvtopo.sources.machine import Machine
from nvtopo.sources.sysfs import SysfsRoot
from nvtopo.sources.watch import Watch

logger = logging.getLogger(__name__)

#: How long events may go on before the machine is read: hot-plug of one NIC is a dozen events.
DEBOUNCE_SECONDS = 0.5
#: A loop that made no pass for so many intervals, and for so long at least, is stuck: a driver that hangs is not, since
#: it is given up at its deadline.
_STUCK_INTERVALS: Final = 3
_STUCK_SECONDS: Final = 90.0
#: Between passes while NVLinks train: of their coming up there is no event.
_TRAINING_SECONDS: Final = 5.0
#: What sinks get at the end for a write under way, and workers for theirs. What hangs ends with the process.
_LAST_WRITE_SECONDS: Final = 0.8


def observe(machine: Machine, boot_grace_seconds: float = BOOT_GRACE_SECONDS) -> Observation:
    """Read the machine now, and conclude."""
    began = time.monotonic()
    snapshot, source_seconds = reading.timed(machine)
    node = assemble(snapshot, boot_grace_seconds)
    return Observation(snapshot, node, derive(node), time.monotonic() - began, time.time(), source_seconds)


class Agent:
    """The loop's state: the latest observation, and what each sink has."""

    def __init__(
        self,
        machine: Machine,
        sinks: Sequence[Sink],
        *,
        boot_grace_seconds: float = BOOT_GRACE_SECONDS,
        hearing: Hearing | None = None,
        on_change: Callable[[NodeTopology, NodeTopology], None] | None = None,
    ) -> None:
        """``hearing``: how it hears of NVML's events; not at all without. ``on_change`` gets what was and what is."""
        self._machine = machine
        self._boot_grace = boot_grace_seconds
        self._changed, self._stop = Bell(), Bell()
        self._stopped = False
        self._deliveries = tuple(Delivery(sink, on_bug=self.wake) for sink in sinks)
        self._hearing = hearing
        self._on_change = on_change
        if hearing is not None:
            hearing.wake(self.wake)
        self._latest: Observation | None = None
        self._problems = ProblemLog()
        self.changes = Changes()
        self._patience = _STUCK_SECONDS
        self._beat = time.monotonic()

    def latest(self) -> Observation | None:
        """The latest observation; None before the first."""
        return self._latest

    @property
    def root(self) -> SysfsRoot:
        """Where the machine's ``/sys`` and ``/proc`` are."""
        return self._machine.root

    @property
    def delivered(self) -> bool:
        """Whether every sink took what it was last given."""
        return self._latest is not None and all(delivery.delivered for delivery in self._deliveries)

    def sinks_part(self) -> Families:
        """The part of the metrics page that says what reached the sinks."""
        return delivery_metrics.families({delivery.name: delivery.delivered for delivery in self._deliveries})

    @property
    def alive(self) -> bool:
        """Whether the loop still makes its passes."""
        return time.monotonic() < self._beat + self._patience

    def step(self) -> Observation:
        """Read once and hand the result to every sink that wants it now, one after the other."""
        observation = self._observe()
        for delivery in self._deliveries:
            delivery.attempt(observation.node)
        return observation

    def run(self, interval_seconds: float) -> None:
        """Read on every event, and at least every ``interval_seconds``, until ``stop``."""
        self._patience = max(
            _STUCK_SECONDS, _STUCK_INTERVALS * (interval_seconds + self._machine.nvml.deadline_seconds)
        )
        with ExitStack() as stack:
            stack.callback(self._leave)
            for delivery in self._deliveries:
                stack.enter_context(delivery)
            stack.enter_context(Watch(self.wake))
            if self._hearing is not None:
                stack.enter_context(self._hearing.events)
            while not self._stopped:
                self._pass()
                self._wait(min(interval_seconds, _TRAINING_SECONDS) if self._training else interval_seconds)

    def wake(self) -> None:
        """The machine may be another: read it again; from any thread."""
        self._changed.ring()

    def stop(self) -> None:
        """End ``run``, and a reading under way with it; from any thread, and from signal handlers."""
        self._stopped = True
        self._machine.nvml.cancel()
        self._stop.ring()

    def _pass(self) -> None:
        observation = self._observe()
        if self._stopped:  # cut short: not what the machine is
            return
        if self._hearing is not None:
            self._hearing.expect(observation.node)
        for delivery in self._deliveries:
            delivery.check()
            delivery.offer(observation.node)

    def _observe(self) -> Observation:
        self._beat = time.monotonic()
        observation = observe(self._machine, self._boot_grace)
        if not self._stopped:
            self._log_changes(self._latest, observation)
            self._latest = observation
        return observation

    @property
    def _training(self) -> bool:
        return self._latest is not None and any(gpu.nvlink_training for gpu in self._latest.node.gpus)

    def _wait(self, seconds: float) -> None:
        if self._changed in first_of(self._stop, self._changed, seconds=seconds):
            first_of(self._stop, seconds=DEBOUNCE_SECONDS)
            self._changed.silence()

    def _leave(self) -> None:
        until = time.monotonic() + _LAST_WRITE_SECONDS
        for delivery in self._deliveries:
            delivery.join(until - time.monotonic())
        if self._hearing is not None:
            self._hearing.events.join(until - time.monotonic())

    def _log_changes(self, before: Observation | None, after: Observation) -> None:
        self._problems.say(after.node.problems)
        if before is not None and before.node != after.node:
            self.changes.note(before.node, after.node)
            if self._on_change is not None:
                self._on_change(before.node, after.node)
            logger.info("topology changed", extra={"gpus": len(after.node.gpus), "nics": len(after.node.nics)})
