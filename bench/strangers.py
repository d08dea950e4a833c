"""Probes of agent and aggregator while strangers hold connections: idle, slow, huge, garbage, never reading.

Each server is a process of its own, and so is the crowd. Every probe is a connection of its own, as the kubelet's is.
"""

import argparse
import http.client
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from bench.crowd import READERS, Gathering, crowded
from bench.exporter import Exporter, running
from bench.scrape import MACHINES, free_port
from bench.timing import ProgramFailed
from tests.hosts.recorded import FIXTURES, IN_MEMORY
from tests.machines import sysfs_text
from tests.nvml import build

Json = dict[str, Any]

EXIT_READ: Final = 3
EXIT_LATE: Final = 1
SECONDS: Final = 60.0
CONNECTIONS: Final = 1000
PAGE_READERS: Final = 200
RACKS: Final = 60
TARGET_SECONDS: Final = 1.0
#: Those of daemonset/agent.yaml and daemonset/aggregator.yaml.
LIMIT_BYTES: Final = {"agent": 256 << 20, "aggregator": 2 << 30}

_PAUSE_SECONDS: Final = 0.2
_PROBES: Final = ("/healthz", "/readyz")
_READY_SECONDS: Final = 60.0
_PROBE_TIMEOUT_SECONDS: Final = 10.0
_OK: Final = 200


def main() -> int:
    """Measure and print; 1 if a probe was late or failed, or memory passed its limit."""
    options = _options()
    try:
        figures = {
            name: measure(name, options.connections, options.readers, options.seconds)
            for name in ("agent", "aggregator")
        }
    except (ProgramFailed, build.BuildError) as error:
        print(f"bench/strangers: {error}", file=sys.stderr)
        return EXIT_READ
    print(table(figures))
    if options.json:
        print(json.dumps(figures))
    return 0 if all(found["good"] for found in figures.values()) else EXIT_LATE


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/strangers", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object of the figures as the last line")
    for name, default, what in (
        ("--seconds", SECONDS, "how long each server has its crowd"),
        ("--connections", CONNECTIONS, "idle or hostile ones"),
        ("--readers", PAGE_READERS, "readers of the metrics page that never read"),
    ):
        parser.add_argument(name, type=type(default), default=default, help=f"{what} (default: %(default)s)")
    return parser.parse_args()


def measure(name: str, connections: int, readers: int, seconds: float) -> Json:
    """Figures of one server; times are in seconds, memory in bytes."""
    with ExitStack() as stack:
        port = free_port()
        serving = _agent(port) if name == "agent" else _aggregator(port)
        server = stack.enter_context(serving)
        _until_ready(port)
        alone = server.use().pss_bytes
        with crowded(port, Gathering(connections), Gathering(readers, READERS)) as crowd:
            probes = _probes(port, seconds, server)
            made = crowd.connections()
        page = _page(server)
    good = probes["failed"] == 0 and probes["maximumSeconds"] <= TARGET_SECONDS
    return {
        "connections": connections,
        "readers": readers,
        "connectionsMade": made,
        "dropped": dict(_dropped(page)),
        "aloneBytes": alone,
        "limitBytes": LIMIT_BYTES[name],
        "good": good and probes["maximumBytes"] < LIMIT_BYTES[name],
        **probes,
    }


def _probes(port: int, seconds: float, server: Exporter) -> Json:
    times: list[float] = []
    failed, most = 0, 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for path in _PROBES:
            began = time.perf_counter()
            failed += not probe(port, path)
            times.append(time.perf_counter() - began)
        most = max(most, server.use().pss_bytes)
        time.sleep(_PAUSE_SECONDS)
    times.sort()
    return {
        "probes": len(times),
        "failed": failed,
        "medianSeconds": times[len(times) // 2],
        "maximumSeconds": times[-1],
        "maximumBytes": most,
    }


def _page(server: Exporter) -> str:
    """The metrics page, as soon as the crowd that has just left is let go; until then a scrape may be refused."""
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            return server.text()
        except (OSError, http.client.HTTPException):
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)


def _until_ready(port: int) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not all(probe(port, path) for path in _PROBES):
        if time.monotonic() > deadline:
            raise ProgramFailed(f"not ready after {_READY_SECONDS:g} s")
        time.sleep(_PAUSE_SECONDS)


def probe(port: int, path: str) -> bool:
    """Whether it is answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PROBE_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == _OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def _agent(port: int) -> Iterator[Exporter]:
    host = FIXTURES / "hosts" / MACHINES[0]
    with tempfile.TemporaryDirectory(prefix="nvtopo-bench-", dir=IN_MEMORY) as root:
        sysfs_text.unpack((host / "sys.txt").read_text(encoding="utf-8"), Path(root))
        machine = ("--root", root, "--nvml", str(build.library()))
        sinks = ("--no-features", "--no-resource", "--listen", f"127.0.0.1:{port}")
        environment = {"NVTOPO_NVML_FIXTURE": str(host / "nvml.json")}
        with running((sys.executable, "-m", "nvtopo", "agent", *sinks, *machine), port, environment) as exporter:
            yield exporter


@contextmanager
def _aggregator(port: int) -> Iterator[Exporter]:
    arguments = (sys.executable, "-m", "bench.aggregator_process", str(port), str(RACKS), "--anonymous")
    with running(arguments, port, {}) as exporter:
        yield exporter


def _dropped(page: str) -> Iterator[tuple[str, int]]:
    for line in page.splitlines():
        if line.startswith("nvtopo_http_dropped_connections_total{"):
            yield line.split('"')[1], int(float(line.rpartition(" ")[2]))


def table(figures: Json) -> str:
    """For people."""
    lines = [f"{'':12}{'probes':>8}{'failed':>8}{'median':>10}{'longest':>10}{'alone':>10}{'most':>10}{'limit':>10}"]
    for name, found in figures.items():
        times = (f"{found[key] * 1000:.1f} ms" for key in ("medianSeconds", "maximumSeconds"))
        sizes = (f"{found[key] >> 20} MiB" for key in ("aloneBytes", "maximumBytes", "limitBytes"))
        cells = (*times, *sizes)
        lines.append(f"{name:12}{found['probes']:>8}{found['failed']:>8}" + "".join(f"{cell:>10}" for cell in cells))
    for name, found in figures.items():
        dropped = ", ".join(f"{reason} {count}" for reason, count in found["dropped"].items())
        lines.append(f"{name}: {found['connectionsMade']} connections made; dropped: {dropped}")
    late = [name for name, found in figures.items() if not found["good"]]
    verdict = f"no: {', '.join(late)}" if late else "yes"
    lines.append(f"every probe within {TARGET_SECONDS:g} s, memory below the limit: {verdict}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
