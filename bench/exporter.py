"""An exporter as a process: started, scraped over HTTP, and asked what it and its children use."""

import http.client
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple

import psutil

from bench.timing import ProgramFailed, interpreter_environment

_START_SECONDS: Final = 60.0
_END_SECONDS: Final = 10.0
_SCRAPE_SECONDS: Final = 30.0
_LOOK_AGAIN_SECONDS: Final = 0.05
_OK: Final = 200


class Use(NamedTuple):
    """What processes used so far, in seconds, and hold now, in bytes."""

    cpu_seconds: float
    pss_bytes: int


class Exporter:
    """A running exporter."""

    def __init__(self, process: psutil.Process, port: int) -> None:
        self._process = process
        self._port = port

    def page(self) -> bytes:
        """One scrape, over a connection of its own.

        Raises:
            OSError: nobody listens.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_SCRAPE_SECONDS)
        try:
            connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != _OK:
            raise ProgramFailed(f"scrape: expected 200, got {answer.status}")
        return body

    def timed(self) -> float:
        """How many seconds one scrape takes."""
        began = time.perf_counter()
        self.page()
        return time.perf_counter() - began

    def text(self) -> str:
        """The page as it reads."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_SCRAPE_SECONDS)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def use(self) -> Use:
        """Of the process alone."""
        return _use(self._process)

    def children_use(self) -> Use:
        """Of its children, such as the agent's counters worker."""
        uses = [_use(child) for child in self._process.children(recursive=True)]
        return Use(sum(use.cpu_seconds for use in uses), sum(use.pss_bytes for use in uses))


def _use(process: psutil.Process) -> Use:
    times = process.cpu_times()
    return Use(times.user + times.system, process.memory_full_info().pss)


@contextmanager
def running(arguments: tuple[str, ...], port: int, environment: Mapping[str, str]) -> Iterator[Exporter]:
    """The exporter that these arguments start, once it answers; told to end, and waited for, after the block.

    Raises:
        ProgramFailed: it ended, or does not answer in time.
    """
    settings = interpreter_environment() | dict(environment)
    with subprocess.Popen(arguments, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            exporter = Exporter(psutil.Process(process.pid), port)
            _until_it_answers(exporter, process)
            yield exporter
        finally:
            process.terminate()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _until_it_answers(exporter: Exporter, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ProgramFailed(f"{_name(process)}: ended with {process.returncode}")
        try:
            exporter.page()
        except OSError:
            time.sleep(_LOOK_AGAIN_SECONDS)
        else:
            return
    raise ProgramFailed(f"{_name(process)}: no page after {_START_SECONDS:g} s")


def _name(process: "subprocess.Popen[bytes]") -> str:
    """The command, for a message."""
    return " ".join(map(str, process.args)) if isinstance(process.args, tuple) else str(process.args)
