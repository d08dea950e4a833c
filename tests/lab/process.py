"""One program of the lab as a child process: it logs to a file and never outlives the process that started it.

Python's own way to set a parent-death signal, `preexec_fn`, is unsafe beside threads; util-linux's `setpriv` does
it from outside. The shell between closes the gap in which the parent may have died before the signal was set.
The kernel means the *thread* that started the child, so children are started from threads that stay.
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.lab import kube

_GUARD: Final = ("setpriv", "--pdeathsig", "KILL", "sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"')

#: Below the kernel's ephemeral range (32768 and up): no outgoing connection takes such a port in between.
_PORTS: Final = range(20_000, 32_768)


class LabError(Exception):
    """The lab cannot do its work; the message says why, with the end of the program's log."""


def require(*tools: str) -> None:
    """Says in one line which of the tools, all made with util-linux, this machine lacks."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        raise LabError(
            f"the lab needs {', '.join(missing)} on PATH: install util-linux, and the package mount where there is one"
        )


def free_port() -> int:
    """A TCP port on loopback that nothing listens on."""
    while True:
        port = random.choice(_PORTS)  # noqa: S311 - nothing secret
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def guarded(argv: Sequence[str]) -> tuple[str, ...]:
    """The same program, which dies when this process does."""
    return (*_GUARD, str(os.getpid()), *argv)


class Child:
    """A running program, in its own process group."""

    def __init__(
        self, name: str, argv: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        require("setpriv")
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                guarded(argv),
                env={"PATH": os.environ["PATH"], **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        """Raises where the program has ended."""
        status = self._process.poll()
        if status is not None:
            raise LabError(f"{self.name} ended with {status}; {self.last_words()}")

    def wait(self, seconds: float) -> None:
        """Waits until the program is done, and raises where it failed."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.stop()
            raise LabError(f"{self.name} was not done within {seconds} s; {self.last_words()}") from None
        if status:
            raise LabError(f"{self.name} ended with {status}; {self.last_words()}")

    def last_words(self, lines: int = 15) -> str:
        """The end of its log, and where the rest is."""
        text = self.log.read_text(errors="replace").splitlines()
        return "\n".join((f"the end of {self.log}:", *text[-lines:]))

    def terminate(self) -> None:
        """Asks it to end."""
        self._signal(signal.SIGTERM)

    def stop(self, seconds: float = 10) -> None:
        """Ends it, and all that it started: asked first, killed where it takes longer than that."""
        self.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def kill(self) -> None:
        """Ends it without asking, as a machine that loses power does."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


class Service(ABC):
    """What starts on entering and ends on leaving, also where it could not start."""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:  # also when interrupted: nothing may stay behind
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @abstractmethod
    def _start(self) -> None:
        """Returns once it is ready."""

    @abstractmethod
    def _stop(self) -> None:
        """Ends as much of it as runs."""


def await_ready(probe: kube.Probe[object], children: Sequence[Child], *, what: str, seconds: float = 180) -> None:
    """Polls until the probe answers, as long as the children live."""

    def watched() -> object:
        for child in children:
            child.check()
        return probe()

    try:
        kube.wait_for(watched, what=what, seconds=seconds)
    except TimeoutError as error:
        raise LabError(f"{error}; {children[-1].last_words()}") from None
