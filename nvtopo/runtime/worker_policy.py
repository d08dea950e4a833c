"""When a worker process is started, counts as hung, and is restarted. A state machine without I/O, clock or thread.

``SupervisedWorker`` calls ``next``, does the action, and reports the result; each call passes the time in monotonic
seconds. A subclass decides when a worker is wanted and what its lines mean.
"""

import math
from abc import ABC, abstractmethod
from enum import Enum, auto
from typing import Final, Literal, NamedTuple

from nvtopo.runtime.backoff import Backoff


class Start(NamedTuple):
    """Start a worker; then ``started``, ``absent`` or ``failed``."""


class Send(NamedTuple):
    """Write this line to the worker; then ``sent``."""

    line: bytes


class End(NamedTuple):
    """Close the worker's input, wait so long, then kill it; then ``ended``, or ``kept`` where the kernel keeps it."""

    grace_seconds: float


class Wait(NamedTuple):
    """Until then, or until the worker says something, or ``next`` may be another for another reason."""

    until: float = math.inf


class Stop(NamedTuple):
    """The thread may end."""


#: How often to check whether a killed worker is gone.
_LOOK_AGAIN_SECONDS: Final = 1.0

Action = Start | Send | End | Wait | Stop


class Failure(NamedTuple):
    """Why a worker must be replaced."""

    reason: Literal["hang", "died", "garbled", "driver", "gpu-lost", "failed"]
    words: str


class Report(NamedTuple):
    """A line for the log."""

    failure: Failure | None
    """None if the failure reported before is over."""


class _Phase(Enum):
    ABSENT = auto()
    RUNNING = auto()
    #: The worker should end, and has not been ended yet.
    ENDING = auto()
    #: The worker was killed and is still in the kernel. No second one is started meanwhile.
    KEPT = auto()


class Grace(NamedTuple):
    """How long a worker may take to end by itself once its input is closed, in seconds."""

    unwanted: float
    failed: float
    stopped: float


class WorkerPolicy(ABC):
    """One worker at a time. It is started when it is wanted, and after a failure not before the backoff's delay."""

    def __init__(self, backoff: Backoff, *, first_line: float, settled: float, grace: Grace) -> None:
        """A worker has ``first_line`` seconds to say something. Once one ran for ``settled``, the backoff is reset."""
        self._backoff = backoff
        self._first_line = first_line
        self._settled = settled
        self._grace = grace
        self._phase = _Phase.ABSENT
        self._stopped = False
        self._restarting = False
        self._end_grace = 0.0
        self._started = -math.inf
        self._start_at = -math.inf
        self._deadline = math.inf
        self._deadline_seconds = math.inf
        self._reported: Failure | None = None
        self._reports: list[Report] = []

    @abstractmethod
    def wanted(self, now: float) -> bool:
        """Whether a worker should run."""

    @abstractmethod
    def line(self, now: float, line: bytes) -> None:
        """Handle a line of the worker."""

    def unwanted(self) -> None:  # noqa: B027 - of those that are not always wanted
        """Called when no worker is wanted and none runs."""

    def running(self, now: float) -> Send | Wait:  # noqa: ARG002 - of those who send
        """The action while the worker runs and is not overdue."""
        return Wait()

    def next(self, now: float) -> Action:
        """The next action."""
        if self._phase is _Phase.RUNNING:
            self._decide(now)
        if self._phase is _Phase.RUNNING:
            action = self.running(now)
            return Wait(min(action.until, self._deadline)) if isinstance(action, Wait) else action
        if self._phase is _Phase.ENDING:
            return End(self._grace.stopped if self._stopped else self._end_grace)
        if self._stopped:
            return Stop()
        if self._phase is _Phase.KEPT:
            return Wait(now + _LOOK_AGAIN_SECONDS)
        if not self.wanted(now):
            self.unwanted()
            return Wait()
        return Start() if now >= self._start_at else Wait(self._start_at)

    def _decide(self, now: float) -> None:
        """Whether it may go on."""
        if self._stopped or self._restarting or not self.wanted(now):
            self._phase, self._end_grace = _Phase.ENDING, self._grace.unwanted
        elif now >= self._deadline:
            self.failed(now, Failure("hang", f"no answer within {self._deadline_seconds:g} s: the driver hangs"))

    def started(self, now: float) -> None:
        """The worker was started."""
        self._phase = _Phase.RUNNING
        self._started = now
        self.expect(now, self._first_line)

    def absent(self, now: float) -> None:
        """There is no driver on this machine to ask. This is no failure, and it is checked again after a while."""
        self._start_at = now + self._backoff.delay()

    def expect(self, now: float, seconds: float) -> None:
        """The worker counts as hung unless it sends a line within ``seconds``."""
        self._deadline, self._deadline_seconds = now + seconds, seconds

    def sent(self, now: float, line: bytes) -> None:  # noqa: B027 - of those who send
        """The line was written."""

    def heard(self, now: float, line: bytes) -> None:
        """The worker said this; what one says that is to be ended is ignored."""
        if self._phase is _Phase.RUNNING:
            self.line(now, line)

    def failed(self, now: float, failure: Failure) -> None:
        """The worker failed or could not be started."""
        if self._phase is _Phase.RUNNING:
            self._phase = _Phase.ENDING
            self._end_grace = self._grace.failed
            if self.ran_for(now) >= self._settled:
                self._backoff.reset()
        if not self._stopped:
            self.report(failure)
        self._start_at = now + self._backoff.delay()

    def ran_for(self, now: float) -> float:
        """Seconds since it was started."""
        return now - self._started

    def ended(self, now: float) -> None:
        """The worker is gone."""
        if self._phase is _Phase.RUNNING:
            self.failed(now, Failure("died", "the worker ended"))
        self._restarting = False
        self._phase = _Phase.ABSENT

    def kept(self) -> None:
        """The worker was killed and is not gone yet; ``ended`` follows."""
        self._phase = _Phase.KEPT

    def restart(self) -> None:
        """End it, and start another at once."""
        self._restarting = self._phase is _Phase.RUNNING
        self._start_at = -math.inf

    def stop(self) -> None:
        """End it, and start no other."""
        self._stopped = True

    def report(self, failure: Failure | None) -> None:
        """Add a report, for transitions only: a failure that repeats is reported once."""
        if failure != self._reported:
            self._reports.append(Report(failure))
        self._reported = failure

    def reports(self) -> list[Report]:
        """The reports since the last call."""
        reports, self._reports = self._reports, []
        return reports
