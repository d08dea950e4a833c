"""The containers that hold GPUs, read beside the loop: a kubelet that hangs holds up neither the loop nor a scrape."""

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from nvtopo.agent.problem_log import ProblemLog
from nvtopo.model.observation import Observation
from nvtopo.model.records.record import Problem
from nvtopo.model.samples import audit
from nvtopo.model.samples.allocation import allocation
from nvtopo.model.samples.audit import PodAudit
from nvtopo.model.samples.pods import numa_placement
from nvtopo.sinks.metrics import pods as pod_metrics
from nvtopo.sinks.metrics.pods import Holder
from nvtopo.sinks.metrics.series import Families, Part
from nvtopo.sources.kubelet import pods
from nvtopo.sources.kubelet.pods import PodsReading
from nvtopo.sources.sysfs import SysfsRoot

INTERVAL_SECONDS = 15.0
#: How long a reading may take before the one before it is no longer served: the kubelet's deadline, and files.
_SLACK_SECONDS = 10.0
#: At the end; a thread that waits for the kubelet ends with the process.
_JOIN_SECONDS = 0.2


class PodsWatch:
    """Reads while it is open."""

    def __init__(self, root: SysfsRoot, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._root = root
        self._interval = interval_seconds
        self._log = ProblemLog()
        self._stop = threading.Event()
        self._read = threading.Event()
        self._latest, self._until = PodsReading(), float("inf")
        self._thread = threading.Thread(target=self._run, name="pods", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(_JOIN_SECONDS)

    def latest(self) -> PodsReading:
        """The last reading; one that is overdue leaves a problem in its place."""
        latest, until = self._latest, self._until
        if time.monotonic() <= until:
            return latest
        return PodsReading(problems=(Problem(source=pods.NAME, subject="kubelet", reason="a reading hangs"),))

    def wait(self, seconds: float) -> bool:
        """Wait for the first reading; False where it is not there in time."""
        return self._read.wait(seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            reading = pods.read(self._root)
            self._log.say(reading.problems)
            self._latest, self._until = reading, time.monotonic() + self._interval + _SLACK_SECONDS
            self._read.set()
            self._stop.wait(self._interval)


def part(read: Callable[[], PodsReading], latest: Callable[[], Observation | None]) -> Part:
    """The part of the page that is containers with GPUs; without an observation these GPUs are not known."""

    def now() -> Families:
        observation, reading = latest(), read()
        if observation is None or not (reading.containers or reading.held):
            return ()
        node, nvml = observation.topology, observation.snapshot.nvml
        minors = {gpu.minor: gpu.index for gpu in (nvml.gpus if nvml else ()) if gpu.minor is not None}
        holders = [Holder(one, numa_placement(one, node.gpus, minors, node.numa)) for one in reading.containers]
        audits = _audits(reading, observation, minors)
        return pod_metrics.families(holders, {gpu.index: gpu.uuid for gpu in node.gpus}, audits)

    return now


def _audits(reading: PodsReading, observation: Observation, minors: Mapping[int, int]) -> list[PodAudit]:
    """What each pod got against what it could have."""
    node, derived = observation.topology, observation.derived
    nearest = {gpu: found.nics for gpu, found in derived.nearest_nics.items()}
    held = allocation(reading.held, node, minors)
    return audit.pods(held, [gpu.index for gpu in node.gpus], derived.nvlink_groups, nearest)
