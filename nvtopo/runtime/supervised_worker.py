"""The thread that carries out a worker's policy: it starts, writes to, reads and ends one worker after the other."""

import logging
import select
import threading
import time
from collections.abc import Callable

from nvtopo.runtime.forked_worker import ForkedWorker
from nvtopo.runtime.line_buffer import LineTooLong, NotALine
from nvtopo.runtime.wakeup import Wakeup
from nvtopo.runtime.worker_policy import Action, End, Failure, Report, Send, Start, Stop, Wait, WorkerPolicy

#: The longest timeout that ``select`` accepts.
_LONGEST_WAIT_SECONDS = 3600.0


class SupervisedWorker:
    """Runs from ``begin`` until ``stop``, and ends its worker then."""

    def __init__(
        self,
        name: str,
        policy: WorkerPolicy,
        start: Callable[[], ForkedWorker | None],
        stepped: Callable[[], None] = lambda: None,
    ) -> None:
        """``start`` gives a worker, None where there is none to have, or raises OSError.

        ``stepped`` is called from the thread whenever something happened, and does not hold ``changed``.
        """
        self._policy = policy
        self._start = start
        self._stepped = stepped
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._wakeup = Wakeup()
        self._worker: ForkedWorker | None = None
        self.changed = threading.Condition()
        """Must be held to use the policy from another thread; notified after every event."""

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the worker, and then the thread; from any thread. It is not waited for."""
        with self.changed:
            self._policy.stop()
        self.wake()

    def join(self, seconds: float) -> None:
        """Wait for the end, but not longer."""
        self._thread.join(max(0.0, seconds))

    def wake(self) -> None:
        """The policy has changed: ask it again."""
        self._wakeup.set()

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    @property
    def worker_pid(self) -> int | None:
        """The worker's process; None where there is none that has said so."""
        worker = self._worker
        return worker.pid if worker else None

    def _run(self) -> None:
        while True:
            with self.changed:
                action = self._policy.next(time.monotonic())
                self.changed.notify_all()
            self._stepped()
            if isinstance(action, Stop):
                return
            self._do(action)

    def _do(self, action: Action) -> None:
        worker = self._worker
        if isinstance(action, Start):
            self._begin()
        elif isinstance(action, Wait):
            self._wait(action.until, worker)
        elif worker is not None and isinstance(action, Send):
            worker.send(action.line)
            with self.changed:
                self._policy.sent(time.monotonic(), action.line)
        elif worker is not None and isinstance(action, End):
            self._end(worker, action.grace_seconds)

    def _begin(self) -> None:
        try:
            self._worker = worker = self._start()
        except OSError as error:
            failure = Failure("died", f"cannot start the worker: {error.strerror}")
            with self.changed:
                self._policy.failed(time.monotonic(), failure)
            return
        with self.changed:
            (self._policy.absent if worker is None else self._policy.started)(time.monotonic())

    def _wait(self, until: float, worker: ForkedWorker | None) -> None:
        seconds = min(max(0.0, until - time.monotonic()), _LONGEST_WAIT_SECONDS)
        outputs = worker.descriptors if worker else []
        ready = select.select([self._wakeup.fileno(), *outputs], [], [], seconds)[0]
        self._wakeup.clear()
        if worker is not None and (not outputs or outputs[0] in ready):
            self._hear(worker)

    def _hear(self, worker: ForkedWorker) -> None:
        lines: list[bytes] = []
        garbled = ""
        try:
            lines = worker.receive()
        except LineTooLong:
            garbled = "a line without an end"
        except NotALine as error:
            garbled = str(error)
        with self.changed:
            now = time.monotonic()
            for line in lines:
                self._policy.heard(now, line)
            if garbled:
                self._policy.failed(now, Failure("garbled", garbled))
            if worker.gone:
                self._worker = None
                self._policy.ended(now)

    def _end(self, worker: ForkedWorker, grace_seconds: float) -> None:
        gone = worker.end(grace_seconds)
        with self.changed:
            if gone:
                self._worker = None
                self._policy.ended(time.monotonic())
            else:
                self._policy.kept()


def log_reports(logger: logging.Logger, reports: list[Report], source: str, failing: str, again: str) -> None:
    """Log a policy's reports with these messages."""
    for report in reports:
        if report.failure is not None:
            logger.warning(failing, extra={"source": source, "reason": report.failure.words})
        else:
            logger.info(again, extra={"source": source})
