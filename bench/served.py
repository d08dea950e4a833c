"""From a node's change to the bytes at each subscriber, and answers on a kept-alive connection, beside a bare handler.

Aggregator and bare handler are processes of their own, and are driven in turn by a third, which only receives. The
clock is the machine's monotonic one. The bare handler writes about as many bytes to as many connections, and computes
nothing.
"""

import asyncio
import json
import logging
import math
import selectors
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final, NamedTuple

import psutil

from bench.kept_alive import ANSWER, connected
from bench.timing import ProgramFailed
from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.reception import LIMITS
from nvtopo.aggregator.server import GraphServer
from nvtopo.cluster.events import Applied, Event, Listed
from nvtopo.model.records.node import NodeTopology
from nvtopo.runtime.connection_slots import Limits
from nvtopo.runtime.gc_tuning import freeze_settled, freeze_startup
from nvtopo.runtime.switching import switch_often

Json = dict[str, Any]

SUBSCRIBERS: Final = 10
RATE: Final = 100
REQUESTS: Final = 200
WATCH: Final = b"GET /v1/graph/watch HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"
_SETTLE_SECONDS: Final = 0.5
_START_SECONDS: Final = 120.0
#: Of a bare event: about as long as that of a tray with a link that fell.
_EVENT_BYTES: Final = 2048


class Plan(NamedTuple):
    """What one process is to do."""

    nodes: int
    seconds: float
    rate: int = RATE
    subscribers: int = SUBSCRIBERS


class Heard(NamedTuple):
    """Seconds from a change to its last byte at a subscriber."""

    median: float
    p99: float
    longest: float
    changes: int


class Served(NamedTuple):
    """Of one size; times in seconds."""

    nodes: int
    rate: int
    subscribers: int
    heard: Heard
    bare_heard: Heard
    healthz: float
    node: float
    bare: float
    bytes_each: float
    """By which the process grew for each subscriber, while they were told what changed."""


def measure(plan: Plan) -> Served:
    """One size."""
    plan = plan._replace(rate=max(1, min(plan.rate, plan.nodes // 2)))
    with ExitStack() as stack:
        mine, bare = (stack.enter_context(_Process.started(kind, plan)) for kind in ("aggregator", "bare"))
        floor = bare.heard(b"GET /events HTTP/1.0\r\n\r\n")
        before = mine.resident_bytes
        heard = mine.heard(WATCH)
        each = (mine.resident_bytes - before) / plan.subscribers
        paths = {mine.port: ("/healthz", "/v1/nodes/tray-00003"), bare.port: ("/healthz",)}
        asked = [stack.enter_context(connected(port, path)) for port, several in paths.items() for path in several]
        times = [[ask() for ask in asked] for _ in range(REQUESTS)]
    healthz, node, empty = (statistics.median(one) for one in zip(*times, strict=True))
    return Served(plan.nodes, plan.rate, plan.subscribers, heard, floor, healthz, node, empty, each)


class _Process:
    """A child that serves, and changes when it is told to."""

    def __init__(self, process: "subprocess.Popen[bytes]", plan: Plan) -> None:
        self._process = process
        self._plan = plan
        self.port: int = self._said()["port"]

    @classmethod
    @contextmanager
    def started(cls, kind: str, plan: Plan) -> Iterator["_Process"]:
        """Until the end of the block."""
        arguments = [sys.executable, "-m", "bench.served", kind, *map(str, plan)]
        with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            yield cls(process, plan)
            assert process.stdin is not None
            process.stdin.close()

    @property
    def resident_bytes(self) -> int:
        """What it holds now."""
        resident: int = psutil.Process(self._process.pid).memory_info().rss
        return resident

    def heard(self, request: bytes) -> Heard:
        """How soon each subscriber has each change."""
        assert self._process.stdin is not None
        with subscribed(self.port, self._plan.subscribers, request) as received:
            self._process.stdin.write(b"go\n")
            self._process.stdin.flush()
            received.until_silent(_SETTLE_SECONDS + 1 / self._plan.rate, self._plan.seconds + _START_SECONDS)
        sent = [(name, at) for name, at in self._said()["sent"]]
        return timed(sent, received)

    def _said(self) -> Json:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ProgramFailed("bench/served: the process under test ended")
        found: Json = json.loads(line)
        return found


@contextmanager
def subscribed(port: int, count: int, request: bytes = WATCH) -> Iterator["Received"]:
    """So many connections that have heard what there is, and wait for what changes."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(count)]
        for one in sockets:
            one.sendall(request)
        received = Received(sockets)
        received.until_silent(_SETTLE_SECONDS, _START_SECONDS)
        received.forget()
        yield received


class Received:
    """What came on each socket, and when."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self.pieces: list[list[tuple[int, bytes]]] = [[] for _ in sockets]
        self._selector = selectors.DefaultSelector()
        for number, one in enumerate(sockets):
            one.settimeout(0)
            self._selector.register(one, selectors.EVENT_READ, number)

    def until_silent(self, seconds: float, most: float) -> None:
        """Receive until every socket had something, and then none for so long."""
        until = time.monotonic() + most
        while (ready := self._selector.select(seconds)) or not all(self.pieces):
            for key, _ in ready:
                piece = key.fileobj.recv(1 << 18)  # type: ignore[union-attr]  # a socket
                if not piece:
                    raise ProgramFailed("bench/served: a subscriber was dropped")
                self.pieces[key.data].append((time.monotonic_ns(), piece))
            if time.monotonic() > until:
                raise ProgramFailed(f"bench/served: expected events within {most:g} s")

    def forget(self) -> None:
        """What came so far."""
        self.pieces = [[] for _ in self.pieces]

    def events(self, number: int) -> Iterator[tuple[int, list[str]]]:
        """When each change was there in full, and the nodes that it is of."""
        rest = b""
        for at, piece in self.pieces[number]:
            *whole, rest = (rest + piece).split(b"\n\n")
            for text in whole:
                lines = dict(line.split(b": ", 1) for line in text.split(b"\n") if b": " in line)
                if lines.get(b"event") == b"change":
                    yield at, list(json.loads(lines[b"data"])["nodes"])


def timed(sent: Sequence[tuple[str, int]], received: Received) -> Heard:
    """Changes of one node are heard in their order."""
    times = []
    for number in range(len(received.pieces)):
        left: dict[str, list[int]] = defaultdict(list)
        for name, at in reversed(sent):
            left[name].append(at)
        for at, names in received.events(number):
            times += [(at - left[name].pop()) / 1e9 for name in names]
        if any(left.values()):
            raise ProgramFailed(f"bench/served: subscriber {number} did not hear of every change")
    times.sort()
    return Heard(statistics.median(times), times[math.ceil(0.99 * len(times)) - 1], times[-1], len(times))


class _Store:
    """A fleet whose trays' links fall and rise, one after the other, when it is told to."""

    def __init__(self, plan: Plan, nodes: dict[str, NodeTopology], ill: dict[str, NodeTopology]) -> None:
        self._plan = plan
        self._nodes = nodes
        self._ill = ill
        self.go = threading.Event()
        self.sent: list[tuple[str, int]] = []
        self.done = threading.Event()

    def events(self, stop: threading.Event) -> Iterator[Event]:
        """The list, and the changes."""
        yield Listed(self._nodes)
        self.go.wait()
        names, begin = list(self._ill), time.monotonic()
        for number in range(int(self._plan.rate * self._plan.seconds)):
            stop.wait(max(0.0, begin + number / self._plan.rate - time.monotonic()))
            name = names[number % len(names)]
            falls = number // len(names) % 2 == 0
            self.sent.append((name, time.monotonic_ns()))
            yield Applied(name, self._ill[name] if falls else self._nodes[name])
        self.done.set()
        stop.wait()


def _aggregator(plan: Plan) -> None:
    """The process under test."""
    from bench.aggregator import fleet, with_link_down

    logging.getLogger("nvtopo").addHandler(logging.NullHandler())
    nodes = fleet(plan.nodes)
    store = _Store(plan, nodes, {name: with_link_down(nodes[name]) for name in nodes if name.startswith("tray")})
    aggregator, stop = Aggregator(store, settle=freeze_settled), threading.Event()
    with switch_often(), GraphServer(aggregator, limits=_limits(plan)) as server:
        loop = threading.Thread(target=aggregator.run, args=(stop,))
        loop.start()
        aggregator.wait(0)
        freeze_startup()
        say({"port": server.port})
        if sys.stdin.readline():
            store.go.set()
            store.done.wait()
            say({"sent": store.sent})
            sys.stdin.readline()
        stop.set()
        store.go.set()
        loop.join()


def _limits(plan: Plan) -> Limits:
    """As they are, unless more are to follow than the aggregator lets in."""
    if plan.subscribers <= LIMITS.streams:
        return LIMITS
    many = 2 * plan.subscribers
    return LIMITS._replace(total=many, one_client=many, busy=many, known=many, streams=plan.subscribers)


class _Bare(asyncio.Protocol):
    """Answers whatever comes; who asks for events gets those of the process."""

    subscribers: Final[list[asyncio.Transport]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET /events"):
            self.subscribers.append(self._transport)
            self._transport.write(b"HTTP/1.0 200 OK\r\n\r\n")
        else:
            self._transport.write(ANSWER)


async def _bare(plan: Plan) -> None:
    server = await asyncio.get_running_loop().create_server(_Bare, "127.0.0.1", 0)
    say({"port": server.sockets[0].getsockname()[1]})
    if await asyncio.to_thread(sys.stdin.readline):
        sent, begin = [], time.monotonic()
        for number in range(int(plan.rate * plan.seconds)):
            await asyncio.sleep(max(0.0, begin + number / plan.rate - time.monotonic()))
            sent.append((str(number), time.monotonic_ns()))
            event = json.dumps({"nodes": {str(number): "x" * _EVENT_BYTES}})
            for one in _Bare.subscribers:
                one.write(f"event: change\ndata: {event}\n\n".encode())
        say({"sent": sent})
        await asyncio.to_thread(sys.stdin.readline)


def say(what: Json) -> None:
    """A line of JSON for the parent."""
    print(json.dumps(what), flush=True)


def table(curve: Sequence[Served]) -> str:
    """For people."""
    heads = ("nodes", "changes/s", "subscribers", "heard ms", "p99", "longest", "bare ms", "p99")
    rows: list[tuple[str, ...]] = [(*heads, "healthz ms", "node ms", "bare ms", "KB each")]
    for one in curve:
        times = (*one.heard[:3], *one.bare_heard[:2], one.healthz, one.node, one.bare)
        counts = (one.nodes, one.rate, one.subscribers)
        rows.append((*map(str, counts), *(f"{seconds * 1e3:.2f}" for seconds in times), f"{one.bytes_each / 1e3:.0f}"))
    return "\n".join(
        " ".join(f"{entry:>{max(7, len(head))}}" for entry, head in zip(row, rows[0], strict=True)) for row in rows
    )


def summary(curve: Sequence[Served]) -> list[Json]:
    """For programs."""
    return [one._asdict() | {"heard": one.heard._asdict(), "bare_heard": one.bare_heard._asdict()} for one in curve]


def _main(kind: str, nodes: str, seconds: str, rate: str, subscribers: str) -> None:
    plan = Plan(int(nodes), float(seconds), int(rate), int(subscribers))
    if kind == "bare":
        asyncio.run(_bare(plan))
    else:
        _aggregator(plan)


if __name__ == "__main__":
    _main(*sys.argv[1:])
