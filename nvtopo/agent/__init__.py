"""The node loop: read → assemble → deliver to each sink, on events and at a slow interval."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final

from msgspec.structs import replace

from nvtopo.agent.delivery import Delivery
from nvtopo.agent.expectations import AgentExpectations, Due
from nvtopo.agent.nvml_event_listener import NvmlEventListener
from nvtopo.agent.parts.changes import Changes
from nvtopo.agent.problem_log import ProblemLog
from nvtopo.model.changes.topology import changes
from nvtopo.model.conclusions import bridges, registration, unmet
from nvtopo.model.conclusions.assemble import assemble, ordered
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.hierarchy import functions_of
from nvtopo.model.conclusions.training import BOOT_GRACE_SECONDS
from nvtopo.model.observation import Observation
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.runtime.wakeup import Wakeup, first_of
from nvtopo.sinks.metrics import deliveries as delivery_metrics
from nvtopo.sinks.metrics.series import Families
from nvtopo.sinks.publish.sink import Sink
from nvtopo.sources import reading
from nvtopo.sources.linux.watch import DeviceWatch
from nvtopo.sources.machine import Machine
from nvtopo.sources.sysfs import SysfsRoot

logger = logging.getLogger(__name__)

#: How long events may go on before the machine is read: hot-plug of one NIC is a dozen events.
DEBOUNCE_SECONDS = 0.5
#: A loop that made no pass for this many intervals, and at least this long, is stuck. A hung driver is no reason,
#: because it has a deadline.
_STUCK_INTERVALS: Final = 3
_STUCK_SECONDS: Final = 90.0
#: A reading is fresh for this many intervals, and the time that the driver may take for the next.
_FRESH_INTERVALS: Final = 3
_NO_LIMIT: Final = float("inf")
#: Between passes while NVLinks train, because their coming up gives no event.
_TRAINING_SECONDS: Final = 5.0
#: What sinks get at the end for a write under way, and workers for theirs. What hangs ends with the process.
_LAST_WRITE_SECONDS: Final = 0.8


def observe(
    machine: Machine,
    boot_grace_seconds: float = BOOT_GRACE_SECONDS,
    before: Observation | None = None,
    due: Callable[[NodeTopology], Due] = lambda _: Due(),
    clock: Callable[[], float] = time.monotonic,
) -> Observation:
    """Read the machine now, conclude, and compare with the observation ``before``.

    ``due`` says of a topology what should be there; ``clock`` is in monotonic seconds.
    """
    began, at_seconds = clock(), time.time()
    snapshot, source_seconds = reading.timed(machine)
    known = {} if before is None else before.links_seen
    read = bridges.with_lost(assemble(snapshot, boot_grace_seconds), known)
    waiting = registration.step({} if before is None else before.registering, read, began, boot_grace_seconds)
    read = registration.with_overdue(read, waiting, boot_grace_seconds)
    topology = _with_due(read, due(read), snapshot)
    derived = derive(topology)
    observation = Observation(
        snapshot,
        topology,
        derived,
        clock() - began,
        at_seconds,
        source_seconds,
        registering=waiting,
        links_seen=bridges.seen(known, topology),
    )
    if before is None:
        return observation
    found = changes(before.topology, topology, (before.derived, derived))
    return observation._replace(previous=before.topology, changes=found)


def _with_due(node: NodeTopology, due: Due, snapshot: Snapshot) -> NodeTopology:
    problems = ordered((*node.problems, *due.problems))
    return unmet.with_links(replace(node, expected=due.expected, problems=problems), functions_of(snapshot))


class Agent:
    """The loop's state: the latest observation, and what each sink has."""

    def __init__(
        self,
        machine: Machine,
        sinks: Sequence[Sink],
        *,
        boot_grace_seconds: float = BOOT_GRACE_SECONDS,
        listener: NvmlEventListener | None = None,
        expectations: AgentExpectations | None = None,
    ) -> None:
        """Nothing is read before ``step`` or ``run``.

        ``listener`` receives NVML's events; None for no events. ``expectations`` say what should be there; by default,
        what was seen before.
        """
        self._machine = machine
        self._boot_grace = boot_grace_seconds
        self._expected = AgentExpectations() if expectations is None else expectations
        self._changed, self._stop = Wakeup(), Wakeup()
        self._stopped = False
        self._deliveries = tuple(Delivery(sink, on_bug=self.wake) for sink in sinks)
        self._listener = listener
        if listener is not None:
            listener.wake(self.wake)
        self._latest: Observation | None = None
        self._problems = ProblemLog()
        self.changes = Changes()
        self._stuck_after_seconds = _STUCK_SECONDS
        self._beat = time.monotonic()
        self._fresh_seconds = _NO_LIMIT
        self._read_at: float | None = None

    def latest(self) -> Observation | None:
        """The latest observation; None before the first."""
        return self._latest

    @property
    def root(self) -> SysfsRoot:
        """Where the machine's ``/sys`` and ``/proc`` are."""
        return self._machine.root

    @property
    def delivered(self) -> bool:
        """Whether every sink has the latest observation."""
        return self._latest is not None and all(delivery.delivered for delivery in self._deliveries)

    @property
    def fresh(self) -> bool:
        """Whether the latest reading is not older than a few intervals."""
        return self._read_at is not None and time.monotonic() < self._read_at + self._fresh_seconds

    @property
    def ready(self) -> bool:
        """Whether what the sinks have is true of the machine: all have the latest reading, and it is fresh."""
        return self.delivered and self.fresh

    def sinks_part(self) -> Families:
        """The part of the metrics page about the sinks."""
        return delivery_metrics.families({delivery.name: delivery.delivered for delivery in self._deliveries})

    @property
    def alive(self) -> bool:
        """Whether the loop still makes its passes."""
        return time.monotonic() < self._beat + self._stuck_after_seconds

    def step(self) -> Observation:
        """Read once and hand the result to every sink that wants it now, one after the other."""
        observation = self._observe()
        for delivery in self._deliveries:
            delivery.attempt(observation)
        return observation

    def run(self, interval_seconds: float) -> None:
        """Read on every event, and at least every ``interval_seconds``, until ``stop``."""
        self._stuck_after_seconds = max(
            _STUCK_SECONDS, _STUCK_INTERVALS * (interval_seconds + self._machine.nvml.deadline_seconds)
        )
        self._fresh_seconds = _FRESH_INTERVALS * interval_seconds + self._machine.nvml.deadline_seconds
        with ExitStack() as stack:
            stack.callback(self._leave)
            for delivery in self._deliveries:
                stack.enter_context(delivery)
            stack.enter_context(DeviceWatch(self.wake))
            if self._listener is not None:
                stack.enter_context(self._listener.events)
            while not self._stopped:
                self._pass()
                self._wait(min(interval_seconds, _TRAINING_SECONDS) if self._training else interval_seconds)

    def wake(self) -> None:
        """Read the machine again, because it may have changed; from any thread."""
        self._changed.set()

    def offer_again(self, sink: str) -> None:
        """Give the sink of that name the latest observation once more, since it asks for more than that; any thread."""
        latest = self._latest
        if latest is not None and not self._stopped:
            for delivery in self._deliveries:
                if delivery.name == sink:
                    delivery.offer(latest)

    def stop(self) -> None:
        """End ``run`` and a reading in progress; from any thread."""
        self._stopped = True
        self._machine.nvml.cancel()
        if self._machine.deadlines is not None:
            self._machine.deadlines.cancel()
        self._stop.set()

    def _pass(self) -> None:
        observation = self._observe()
        if self._stopped:  # the reading was cut short and is incomplete
            return
        if self._listener is not None:
            self._listener.expect(observation.topology)
        for delivery in self._deliveries:
            delivery.check()
            delivery.offer(observation)

    def _observe(self) -> Observation:
        began = self._beat = time.monotonic()
        observation = observe(self._machine, self._boot_grace, self._latest, self._expected.of)
        if not self._stopped:
            self._latest, self._read_at = observation, began
            self._problems.say(observation.topology.problems)
            self._note_changes(observation)
        return observation

    @property
    def _training(self) -> bool:
        return self._latest is not None and any(gpu.nvlink_training for gpu in self._latest.topology.gpus)

    def _wait(self, seconds: float) -> None:
        if self._changed in first_of(self._stop, self._changed, seconds=seconds):
            first_of(self._stop, seconds=DEBOUNCE_SECONDS)
            self._changed.clear()

    def _leave(self) -> None:
        until = time.monotonic() + _LAST_WRITE_SECONDS
        for delivery in self._deliveries:
            delivery.join(until - time.monotonic())
        if self._listener is not None:
            self._listener.events.join(until - time.monotonic())

    def _note_changes(self, observation: Observation) -> None:
        for delivery in self._deliveries:
            delivery.see(observation)
        if observation.changes:
            self.changes.note(observation.changes)
            things = {"gpus": len(observation.topology.gpus), "nics": len(observation.topology.nics)}
            logger.info("topology changed", extra=things)
