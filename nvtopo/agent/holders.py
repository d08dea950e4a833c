"""Who holds the node's devices: the kubelet is asked, and what it names is found among what the node has."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from nvtopo.model.formats.limits import LONGEST_REASON
from nvtopo.model.observation import Observation
from nvtopo.model.records.allocation import Allocation
from nvtopo.model.samples.allocation import allocation
from nvtopo.sources.kubelet import pod_resources
from nvtopo.sources.sysfs import SysfsReader, SysfsRoot

ASK_SECONDS: Final = 5.0
"""Between two questions: pods that come within this time are one write."""
_JOIN_SECONDS: Final = 0.2


def held(root: SysfsRoot, observation: Observation) -> Allocation:
    """Who holds what now. A kubelet that can't be asked makes that unknown, and not nothing."""
    reader = SysfsReader(root, "kubelet")
    containers = pod_resources.holders(root, reader)
    if containers is None:
        said = "; ".join(f"{one.subject}: {one.reason}" for one in reader.problems)
        return Allocation(containers=(), unknown=said[:LONGEST_REASON])
    nvml = observation.snapshot.nvml
    minors = {gpu.minor: gpu.index for gpu in (nvml.gpus if nvml else ()) if gpu.minor is not None}
    return allocation(containers, observation.topology, minors)


class Asking:
    """Calls ``again`` every few seconds while it is open."""

    def __init__(self, again: Callable[[], None], seconds: float = ASK_SECONDS) -> None:
        self._again = again
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="allocations", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            self._again()
