"""Answers of the aggregator on a kept-alive connection, beside a bare handler that answers fixed bytes.

Both are processes of their own and are asked in turn, so that what else the machine does meets them alike.
"""

import argparse
import asyncio
import http.client
import json
import math
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from bench.exporter import running
from bench.scrape import free_port
from bench.timing import ProgramFailed
from tests.cluster import machines

Json = dict[str, Any]

EXIT_READ: Final = 3
REQUESTS: Final = 500
RACKS: Final = 60
TARGET_SECONDS: Final = 0.001
PATHS: Final = {"healthz": "/healthz", "node": f"/v1/nodes/{machines.name(1, 3)}"}
ANSWER: Final = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"status":"ok"}'
_OK: Final = 200


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench/kept_alive", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object of the figures as the last line")
    parser.add_argument("--requests", type=int, default=REQUESTS, metavar="N", help="default: %(default)s")
    options = parser.parse_args()
    if options.requests < 1:
        parser.error("--requests: expected 1 or more")
    try:
        figures = measure(options.requests)
    except ProgramFailed as error:
        print(f"bench/kept_alive: {error}", file=sys.stderr)
        return EXIT_READ
    print(table(figures))
    if options.json:
        print(json.dumps(figures))
    return 0


def measure(requests: int) -> Json:
    """Medians and 99th percentiles in seconds, and how many times the bare handler's median."""
    with ExitStack() as stack:
        ports = {name: free_port() for name in ("aggregator", "bare")}
        started = (sys.executable, "-m", "bench.aggregator_process", str(ports["aggregator"]), str(RACKS), "--still")
        stack.enter_context(running((*started, "--anonymous"), ports["aggregator"], {}))
        bare = (sys.executable, "-m", "bench.kept_alive", "bare", str(ports["bare"]))
        stack.enter_context(running(bare, ports["bare"], {}))
        asked = {name: stack.enter_context(connected(ports["aggregator"], path)) for name, path in PATHS.items()}
        asked["bare"] = stack.enter_context(connected(ports["bare"], "/healthz"))
        times: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(requests):
            for name, ask in asked.items():
                times[name].append(ask())
    base = statistics.median(times["bare"])
    return {name: _figures(found, base) for name, found in times.items()}


def _figures(times: list[float], base: float) -> Json:
    median = statistics.median(times)
    return {
        "medianSeconds": median,
        "p99Seconds": sorted(times)[math.ceil(0.99 * len(times)) - 1],
        "timesBare": median / base,
    }


@contextmanager
def connected(port: int, path: str) -> Iterator[Any]:
    """Asks on one connection; gives the seconds that an answer takes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def ask() -> float:
        began = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        took = time.perf_counter() - began
        if answer.status != _OK or answer.will_close:
            raise ProgramFailed(f"{path}: expected 200 and a connection that stays, got {answer.status}")
        return took

    try:
        _until_listed(ask)
        yield ask
    finally:
        connection.close()


def _until_listed(ask: Any) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            ask()
        except ProgramFailed:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


def table(figures: Json) -> str:
    """For people."""
    lines = [f"{'kept-alive':12}{'median':>10}{'p99':>10}{'times bare':>12}"]
    for name, found in figures.items():
        median, p99 = (f"{found[key] * 1000:.2f} ms" for key in ("medianSeconds", "p99Seconds"))
        lines.append(f"{name:12}{median:>10}{p99:>10}{found['timesBare']:>12.1f}")
    slow = [name for name in PATHS if figures[name]["medianSeconds"] > TARGET_SECONDS]
    lines.append(f"median within {TARGET_SECONDS * 1000:g} ms: {'no: ' + ', '.join(slow) if slow else 'yes'}")
    return "\n".join(lines)


class _Bare(asyncio.Protocol):
    """Answers whatever comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        del data
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.write(ANSWER)


async def _bare(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Bare, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:2] == ["bare"]:
        asyncio.run(_bare(int(sys.argv[2])))
    sys.exit(main())
