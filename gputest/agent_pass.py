"""One agent for a short while: its feature file, its page, what a scrape costs, and how soon it ends."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import psutil

from gputest.programs import SKIPPED, Output

_SCRAPES: Final = 20
_SCRAPE_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.1
_LOOK_AGAIN_SECONDS: Final = 0.05
_SAMPLE_SECONDS: Final = 10.0
_END_SECONDS: Final = 5.0
_OK: Final = 200


class AgentPass(NamedTuple):
    """What came of it."""

    output: Output
    """Whether it worked."""
    features: bytes = b""
    page: bytes = b""
    cost: dict[str, Any] = {}


class _Failed(Exception):
    """The agent did not do it in time; the message is the reason."""


def run(command: Sequence[str], seconds: float) -> AgentPass:
    """Start the agent with this command, look at it, and end it, within so many seconds; never raises for it."""
    if seconds <= 0:
        return AgentPass(SKIPPED)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gputest-") as name:
        directory = Path(name)
        features = directory / "features.d"
        features.mkdir()
        arguments = (*command, "--features-dir", str(features), "--listen", "127.0.0.1:0", "--no-resource")
        with (directory / "log").open("wb") as log:
            child = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True
            )
        try:
            return _watched(child, directory, began + seconds)
        except (_Failed, OSError, http.client.HTTPException, psutil.Error) as error:
            said = _last(directory / "log")
            return AgentPass(Output("failed", reason=f"{error}{said}", seconds=time.monotonic() - began))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_END_SECONDS)


def _watched(child: "subprocess.Popen[bytes]", directory: Path, deadline: float) -> AgentPass:
    began = time.monotonic()
    port = _until(child, deadline, lambda: _port(directory / "log"), "did not serve its page")
    _until(child, deadline, lambda: _get(port, "/readyz")[0] == _OK, "was not ready")
    ready = time.monotonic() - began
    sampled = min(deadline, time.monotonic() + _SAMPLE_SECONDS)
    with contextlib.suppress(_Failed):
        _until(child, sampled, lambda: b"\nnvtopo_sampler_up 1" in _get(port, "/metrics")[1], "had no sample")
    process = psutil.Process(child.pid)
    before, times, page = process.cpu_times(), [], b""
    for _ in range(_SCRAPES):
        if time.monotonic() > deadline:
            break
        start = time.perf_counter()
        page = _get(port, "/metrics")[1]
        times.append(time.perf_counter() - start)
        time.sleep(_PAUSE_SECONDS)
    after = process.cpu_times()
    cost = {
        "secondsUntilReady": ready,
        "scrapes": len(times),
        "scrapeSecondsMedian": sorted(times)[len(times) // 2] if times else None,
        "scrapeSecondsWorst": max(times, default=None),
        "scrapeCpuSeconds": (after.user + after.system - before.user - before.system) / max(1, len(times)),
        "pageBytes": len(page),
        "series": sum(1 for line in page.splitlines() if line and not line.startswith(b"#")),
        "agentBytes": process.memory_info().rss,
        "workersBytes": sum(one.memory_info().rss for one in process.children(recursive=True)),
    }
    content = b"".join(path.read_bytes() for path in sorted((directory / "features.d").iterdir()) if path.is_file())
    ended = time.monotonic()
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        raise _Failed(f"nvtopo agent did not end within {_END_SECONDS:.0f} s of SIGTERM") from None
    cost["secondsUntilEnded"] = time.monotonic() - ended
    return AgentPass(Output("ok", seconds=time.monotonic() - began), content, page, cost)


def _until(child: "subprocess.Popen[bytes]", deadline: float, probe: Any, otherwise: str) -> Any:
    """The probe's first true answer."""
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise _Failed(f"nvtopo agent ended with {child.returncode}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            found = probe()
            if found:
                return found
        time.sleep(_LOOK_AGAIN_SECONDS)
    raise _Failed(f"nvtopo agent {otherwise} in time")


def _port(log: Path) -> int | None:
    """Where it serves, as its log says."""
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError, AttributeError):
            url = json.loads(line).get("url")
            if isinstance(url, str):
                return urlsplit(url).port
    return None


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SCRAPE_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _last(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return f"; its log ends: {lines[-1][:300]}" if lines else ""
