"""Server-sent events: each client gets what changed from generation to generation, and otherwise a heartbeat.

``change`` is a ``GraphChange``. ``reset`` is the whole graph, for who is new, or was away for longer than the changes
are kept. ``dropped`` is the last event of a client that does not read as fast as the graph changes. ``generation``
follows both for one more release. The ID is of one life of the process, so no other replica takes it for its own.
"""

import asyncio
import contextlib
import logging
import re
import secrets
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from nvtopo.aggregator.documents import Document
from nvtopo.aggregator.ring import Limits, Ring, SentEvent
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.exporters import change_records
from nvtopo.runtime.guard import Failed, Guard

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 15.0
_HEARTBEAT: Final = b": heartbeat\n\n"
_PIECE_BYTES: Final = 64 << 10
_ID: Final = re.compile(r"([0-9a-f]{8})\.([0-9]{1,18})")
_DROPPED: Final = b'event: dropped\ndata: {"error":"this client reads more slowly than the graph changes"}\n\n'

Sent = Callable[[int, float, float, int], None]
"""The generation, when sending began and ended in Unix seconds, and how many bytes it was."""
Whole = Callable[[ClusterGraph], Awaitable[Document]]
"""The document of this graph, or of a later one."""


class Subscribers:
    """The clients of one server. It lives in the server's event loop; other threads may ``wake`` and ``close`` it."""

    def __init__(
        self,
        graph: Callable[[], ClusterGraph | None],
        *,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        limits: Limits | None = None,
        sent: Sent = lambda _generation, _began, _ended, _size: None,
    ) -> None:
        """``sent`` is called when a client has been handed all changes up to a generation (``Spans.sent``)."""
        self._graph = graph
        self._sent = sent
        self._heartbeat = heartbeat_seconds
        self._life = secrets.token_hex(4)
        self._guard = Guard()
        self._waking = threading.Lock()
        self._lock = threading.Lock()
        self._ring = Ring(limits or Limits())
        self._before: ClusterGraph | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bells: set[asyncio.Event] = set()
        self._closed = False
        self.dropped = 0
        """Clients that were dropped because they read too slowly."""

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._bells)

    def join(self) -> asyncio.Event | None:
        """One more client: what it waits on; None if the server is about to end. It has to ``leave`` again."""
        if self._closed:
            return None
        self._loop = asyncio.get_running_loop()
        bell = asyncio.Event()
        self._bells.add(bell)
        return bell

    def leave(self, bell: asyncio.Event) -> None:
        """A client has gone."""
        self._bells.discard(bell)

    async def events(self, bell: asyncio.Event, whole: Whole, last_id: str = "") -> AsyncIterator[bytes]:
        """One client's stream, until the server ends. ``last_id`` is of the last event that it had, if it had one."""
        at = self._resumed(last_id)
        while not self._closed:
            bell.clear()
            changes = None if at is None else self._after(at)
            if changes:
                at, began = changes[-1].generation, time.time()
                for piece in _joined(changes):
                    yield piece
                yield _generation(at)
                self._sent(at, began, time.time(), sum(len(change.event) for change in changes))
            elif changes is None and at is not None and self._slow(at):
                self._drop(at)
                yield _DROPPED
                return
            elif changes is None and (graph := self._newer(at)) is not None:
                latest = await whole(graph)
                at = latest.generation
                async for piece in self._reset(latest):
                    yield piece
                yield _generation(at)
            elif not await self._rung(bell):
                yield _HEARTBEAT

    def wake(self) -> None:
        """A graph was published; from any thread."""
        with self._waking:
            graph = self._graph()
            if graph is None or graph is self._before:
                return
            before, self._before = self._before, graph
            change = None if before is None else self._change(before, graph)
            with self._lock:
                if change is None:
                    self._ring.clear(graph.generation)
                else:
                    self._ring.put(change)
        self._call(self._ring_all)

    def close(self) -> None:
        """End every stream; from any thread."""
        self._closed = True
        self._call(self._ring_all)

    def _change(self, before: ClusterGraph, graph: ClusterGraph) -> SentEvent | None:
        found = self._guard.call("graph", "change", lambda: change_records.encode(change_records.step(before, graph)))
        if isinstance(found, Failed):
            return None
        event = b"event: change\nid: %s\ndata: %s\n\n" % (self._id(graph.generation), found)
        return SentEvent(before.generation, graph.generation, event)

    def _newer(self, generation: int | None) -> ClusterGraph | None:
        graph = self._graph()
        return None if graph is None or (generation is not None and graph.generation <= generation) else graph

    async def _reset(self, latest: Document) -> AsyncIterator[bytes]:
        """The whole, piece by piece, as fast as the client reads."""
        yield b"event: reset\nid: %s\ndata: " % self._id(latest.generation)
        for offset in range(0, len(latest.body), _PIECE_BYTES):
            yield latest.body[offset : offset + _PIECE_BYTES]
        yield b"\n\n"

    def _id(self, generation: int) -> bytes:
        return f"{self._life}.{generation}".encode()

    def _resumed(self, last_id: str) -> int | None:
        """The generation that the client has; None if it needs the whole."""
        found = _ID.fullmatch(last_id)
        if found is None or found[1] != self._life:
            return None
        generation, graph = int(found[2]), self._graph()
        known = graph is not None and generation <= graph.generation and self._after(generation) is not None
        return generation if known else None

    def _after(self, generation: int) -> list[SentEvent] | None:
        with self._lock:
            return self._ring.after(generation)

    def _slow(self, generation: int) -> bool:
        with self._lock:
            return self._ring.slow(generation)

    def _drop(self, generation: int) -> None:
        self.dropped += 1
        logger.info("a watcher reads too slowly, dropped", extra={"generation": generation})

    async def _rung(self, bell: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(self._heartbeat):
                await bell.wait()
        except TimeoutError:
            return False
        return True

    def _call(self, function: Callable[[], None]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the server's event loop has ended, and its clients with it
                self._loop.call_soon_threadsafe(function)

    def _ring_all(self) -> None:
        for bell in self._bells:
            bell.set()


def _generation(generation: int) -> bytes:
    return f'event: generation\ndata: {{"generation":{generation}}}\n\n'.encode()


def _joined(changes: list[SentEvent]) -> list[bytes]:
    """Short events together, so that a burst is few writes."""
    pieces, size = [bytearray()], 0
    for change in changes:
        if size > _PIECE_BYTES:
            pieces.append(bytearray())
            size = 0
        pieces[-1] += change.event
        size += len(change.event)
    return [bytes(piece) for piece in pieces]
