"""A loop and a server that run while a test does, and a store that says what the test tells it to."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import Any, NamedTuple

import msgspec

from nvtopo.aggregator.loop import Aggregator, EventSource
from nvtopo.aggregator.server import GraphServer
from nvtopo.aggregator.trail import Trail
from nvtopo.cluster.inventory import Event

PATIENCE = 60.0
"""Seconds after which something that should have happened counts as not node_event."""


class Script:
    """A store that yields what it was told to, and ends when it should."""

    def __init__(self, *events: Event) -> None:
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.say(*events)

    def say(self, *events: Event) -> None:
        for event in events:
            self._queue.put(event)

    def events(self, stop: threading.Event) -> Iterator[Event]:
        while not stop.is_set():
            try:
                yield self._queue.get(timeout=0.01)
            except queue.Empty:
                continue


@contextmanager
def looping(*loops: Callable[[threading.Event], object]) -> Iterator[None]:
    """Each in a thread of its own; they end as soon as they are told to."""
    stop = threading.Event()
    threads = [threading.Thread(target=loop, args=(stop,), name="loop") for loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


@contextmanager
def running(source: EventSource, pause_seconds: float = 0.0, trail: Trail | None = None) -> Iterator[Aggregator]:
    aggregator = Aggregator(source, pause_seconds=pause_seconds, trail=trail)
    with looping(aggregator.run):
        yield aggregator


class Got(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


def get(server: GraphServer, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> Got:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return Got(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@contextmanager
def watching(server: GraphServer, last_id: str = "") -> Iterator[HTTPResponse]:
    """An open stream of events, after the one of that ID if there is one."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        connection.request("GET", "/v1/graph/watch", headers={"Last-Event-ID": last_id} if last_id else {})
        with connection.getresponse() as answer:
            yield answer
    finally:
        connection.close()


def next_message(answer: HTTPResponse) -> list[str]:
    """The lines of the next message; empty at the end of the stream."""
    lines = []
    while line := answer.readline().decode().rstrip("\n"):
        lines.append(line)
    return lines
