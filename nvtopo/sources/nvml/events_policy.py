"""What the lines of the events worker mean, and when it is started: no I/O, no clock, no thread."""

from typing import Final, NamedTuple

from nvtopo.errors import ParseError
from nvtopo.model.records.nvml_events import NvmlEvent
from nvtopo.model.records.record import Count, Record
from nvtopo.runtime.backoff import Backoff
from nvtopo.runtime.worker_policy import Failure, Grace, WorkerPolicy
from nvtopo.sources.nvml import topology as nvml
from nvtopo.wire.documents import Json

#: The worker ends by itself within half a second. It is killed only after that, because killing it may hurt a GPU.
_GRACE: Final = Grace(unwanted=0.7, failed=0.7, stopped=0.7)


class Pace(NamedTuple):
    """Its times, in seconds."""

    silence: float = 15.0
    """Without a sign of life for this long, the worker counts as hung; it sends one every 5 s."""
    start: float = nvml.DEADLINE_SECONDS
    """The same for its first: without persistence mode the driver must first wake the GPUs."""
    backoff: float = 1.0
    """Before the next worker, doubled each time."""
    longest_backoff: float = 60.0


class Opened(NamedTuple):
    """The worker starts to listen; earlier events were missed."""

    gpus: int


News = NvmlEvent | Opened


class _Line(Record, frozen=True, kw_only=True):
    """One line of the worker."""

    gpus: Count | None = None
    event: NvmlEvent | None = None
    driver: str | None = None


_LINE: Final = Json(_Line, "a line")


class EventsPolicy(WorkerPolicy):
    """A worker is always wanted, and says something at least every ``silence`` seconds."""

    def __init__(self, pace: Pace, backoff: Backoff | None = None) -> None:
        super().__init__(
            backoff or Backoff(pace.backoff, pace.longest_backoff),
            first_line=pace.start,
            settled=pace.longest_backoff,
            grace=_GRACE,
        )
        self._silence = pace.silence
        self._news: list[News] = []
        self.listening = 0
        """The number of GPUs that it currently listens to."""

    def wanted(self, now: float) -> bool:  # noqa: ARG002 - always
        """Always, until it is stopped."""
        return True

    def line(self, now: float, line: bytes) -> None:
        """Handle a line: the number of GPUs, an event, a sign of life, or the driver's failure."""
        self.expect(now, self._silence)
        try:
            said = _LINE.read(line)
        except ParseError as error:
            self.failed(now, Failure("garbled", f"a line that can't be read: {error}"))
            return
        if said.driver is not None:
            self.failed(now, Failure("driver", said.driver))
            return
        if said.gpus is not None:
            self.listening = said.gpus
            self.report(None)
            self._news.append(Opened(said.gpus))
        if said.event is not None:
            self._news.append(said.event)

    def failed(self, now: float, failure: Failure) -> None:
        """The worker no longer listens."""
        self.listening = 0
        super().failed(now, failure)

    def ended(self, now: float) -> None:
        """The worker no longer listens."""
        self.listening = 0
        super().ended(now)

    def news(self) -> list[News]:
        """The news since the last call, in order."""
        news, self._news = self._news, []
        return news
