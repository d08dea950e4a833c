"""NVML's events from a worker process, which may hang or die without disturbing the agent's loop."""

import logging
from collections.abc import Callable
from typing import Self

from nvtopo.model.records.nvml_events import NvmlEvent
from nvtopo.runtime.forked_worker import ForkedWorker, ForkServer
from nvtopo.runtime.supervised_worker import SupervisedWorker, log_reports
from nvtopo.sources.nvml import topology as nvml
from nvtopo.sources.nvml.events_policy import EventsPolicy, Opened, Pace
from nvtopo.sources.nvml.forks import fork_server

logger = logging.getLogger(__name__)


class NvmlEvents:
    """Listens while it is entered, and calls ``on_event`` from a thread of its own."""

    def __init__(
        self,
        library: str,
        on_event: Callable[[NvmlEvent], None],
        pace: Pace | None = None,
        opened: Callable[[], None] = lambda: None,
        forks: ForkServer | None = None,
    ) -> None:
        """``opened`` is called from that thread too, when it starts to listen: earlier events were missed.

        ``forks`` makes the worker; without one it has its own.
        """
        self._library = library
        self._on_event = on_event
        self._opened = opened
        self._forks = forks or fork_server()
        self._policy = EventsPolicy(pace or Pace())
        self._worker = SupervisedWorker("nvml-events", self._policy, self._start, self._tell)

    def __enter__(self) -> Self:
        self._worker.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.stop()

    def join(self, seconds: float) -> None:
        """After the exit: wait for the worker's end, but not longer."""
        self._worker.join(seconds)

    @property
    def listening(self) -> int:
        """The number of GPUs that it currently listens to."""
        return self._policy.listening

    @property
    def worker_pid(self) -> int | None:
        """The worker's process; None where there is none."""
        return self._worker.worker_pid

    def renew(self) -> None:
        """Restart the worker for GPUs that were added or reset; from any thread."""
        with self._worker.changed:
            self._policy.restart()
        self._worker.wake()

    def _start(self) -> ForkedWorker | None:
        return self._forks.fork("nvml-events", self._library) if nvml.library_present(self._library) else None

    def _tell(self) -> None:
        with self._worker.changed:
            reports, news = self._policy.reports(), self._policy.news()
        log_reports(logger, reports, "nvml", "cannot receive NVML events", "receives NVML events again")
        for one in news:
            if isinstance(one, Opened):
                self._opened()
            else:
                self._on_event(one)
