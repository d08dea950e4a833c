"""NVML's events, told by a worker process: it may hang or die, and the agent's loop does not notice."""

import contextlib
import logging
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import IO, Final, NamedTuple, Self

import msgspec

from nvtopo.kube.backoff import Backoff
from nvtopo.model.facts import Count
from nvtopo.model.nvml_events import NvmlEvent
from nvtopo.model.record import Record
from nvtopo.sources import nvml
from nvtopo.sources.bell import Bell, first_of

logger = logging.getLogger(__name__)

_LARGEST_LINE_BYTES: Final = 1 << 16
#: How long a worker that is told to end may take; then it is killed. And how long that may take.
_END_SECONDS: Final = 0.7
_REAP_SECONDS: Final = 0.2


class Pace(NamedTuple):
    """Its times, in seconds."""

    silence: float = 15.0
    """Without a sign of life for so long, the worker hangs; it gives one every 5 s."""
    start: float = nvml.DEADLINE_SECONDS
    """The same before its first: without persistence mode the driver wakes its GPUs first."""
    backoff: float = 1.0
    """Before the next worker, doubled each time."""
    longest_backoff: float = 60.0


class _Line(Record, frozen=True, kw_only=True):
    """One line of the worker."""

    gpus: Count | None = None
    event: NvmlEvent | None = None
    driver: str | None = None


class _Deaf(Exception):
    """The worker hangs, ended, or talks nonsense."""


_DECODER: Final = msgspec.json.Decoder(_Line)


class NvmlEvents:
    """Listens while it is entered, and calls ``heard`` from a thread of its own."""

    def __init__(
        self,
        library: str,
        heard: Callable[[NvmlEvent], None],
        pace: Pace | None = None,
        opened: Callable[[], None] = lambda: None,
    ) -> None:
        """``opened`` is called from that thread too, when it begins to listen: nobody heard what happened before."""
        self._library = library
        self._heard = heard
        self._opened = opened
        self._pace = pace or Pace()
        self._backoff = Backoff(self._pace.backoff, self._pace.longest_backoff)
        self._thread = threading.Thread(target=self._run, name="nvml-events", daemon=True)
        self._end_reader, self._end_writer = os.pipe()
        self._renew = Bell()
        self._worker: subprocess.Popen[bytes] | None = None
        self._reason: str | None = None
        self.listening = 0
        """To how many GPUs, at this moment."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._end_writer)

    def join(self, seconds: float) -> None:
        """After the exit: wait for the worker's end, but not longer."""
        self._thread.join(max(0.0, seconds))

    @property
    def worker_pid(self) -> int | None:
        """The worker's process; None where there is none."""
        worker = self._worker
        return worker.pid if worker else None

    def renew(self) -> None:
        """Start the worker anew, for GPUs that came or were reset; from any thread."""
        self._renew.ring()

    def _run(self) -> None:
        while not self._ended(after=0):
            worker = self._worker
            if worker is not None and worker.poll() is None:
                pass  # the kernel keeps it: no second one joins it there
            elif nvml.library_present(self._library):
                self._session()
            self._ended(after=0 if self._renewed() else self._backoff.delay())

    def _session(self) -> None:
        """One worker's life."""
        command = [sys.executable, "-m", "nvtopo.sources.nvml_events_worker", self._library]
        try:
            worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        except OSError as error:
            self._say(f"cannot start the worker: {error.strerror}")
            return
        self._worker = worker
        assert worker.stdin is not None
        assert worker.stdout is not None
        with worker.stdin, worker.stdout:
            try:
                for line in self._lines(worker.stdout):
                    self._take(line)
            except _Deaf as error:
                self._say(str(error))
            self.listening = 0
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(_END_SECONDS)
        worker.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(_REAP_SECONDS)
            self._worker = None

    def _take(self, line: bytes) -> None:
        try:
            said = _DECODER.decode(line)
        except msgspec.MsgspecError as error:
            raise _Deaf(f"a line that can't be read: {error}") from error
        if said.driver is not None:
            raise _Deaf(said.driver)
        if said.gpus is not None:
            self.listening = said.gpus
            self._say(None)
            self._backoff.reset()
            self._opened()
        if said.event is not None:
            self._heard(said.event)

    def _lines(self, output: IO[bytes]) -> Iterator[bytes]:
        """The worker's lines, until it is to end."""
        rest, patience = b"", self._pace.start
        while True:
            ready = select.select([output.fileno(), self._end_reader, self._renew.fileno()], [], [], patience)[0]
            if self._end_reader in ready or self._renew.fileno() in ready:
                return
            chunk = os.read(output.fileno(), 1 << 16) if ready else None
            if not chunk:
                raise _Deaf("the worker ended" if ready else f"no sign of life for {patience:g} s: the driver hangs")
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
            if len(rest) > _LARGEST_LINE_BYTES:
                raise _Deaf("a line without an end")
            patience = self._pace.silence

    def _renewed(self) -> bool:
        """Whether the worker ended because it was told to make place for the next."""
        told = self._renew in first_of(self._renew, seconds=0)
        self._renew.silence()
        return told

    def _say(self, reason: str | None) -> None:
        """Transitions only."""
        if reason is not None and reason != self._reason:
            logger.warning("cannot hear NVML's events", extra={"source": "nvml", "reason": reason})
        elif reason is None and self._reason is not None:
            logger.info("hears NVML's events again", extra={"source": "nvml"})
        self._reason = reason

    def _ended(self, *, after: float) -> bool:
        """Whether we are to end, now or within so many seconds."""
        return bool(select.select([self._end_reader], [], [], after)[0])
