"""Server-sent events: each client hears the generation whenever it changes, and a heartbeat when it does not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

from nvtopo.cluster.graph import ClusterGraph

HEARTBEAT_SECONDS: Final = 15.0
MOST_CLIENTS: Final = 128


class Watch:
    """The clients of one server. It lives in the server's event loop; other threads may ``wake`` and ``close`` it."""

    def __init__(
        self,
        graph: Callable[[], ClusterGraph | None],
        *,
        most_clients: int = MOST_CLIENTS,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._graph = graph
        self._most = most_clients
        self._heartbeat = heartbeat_seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bells: set[asyncio.Event] = set()
        self._closed = False

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._bells)

    def join(self) -> asyncio.Event | None:
        """One more client: what it waits on; None if that would be too many. It has to ``leave`` again."""
        if self._closed or len(self._bells) >= self._most:
            return None
        self._loop = asyncio.get_running_loop()
        bell = asyncio.Event()
        self._bells.add(bell)
        return bell

    def leave(self, bell: asyncio.Event) -> None:
        """A client has gone."""
        self._bells.discard(bell)

    async def events(self, bell: asyncio.Event) -> AsyncIterator[bytes]:
        """One client's stream, from the current generation on, until the server ends."""
        last: int | None = None
        while not self._closed:
            bell.clear()
            graph = self._graph()
            if graph is not None and graph.generation != last:
                last = graph.generation
                yield _event(last)
            elif not await self._rung(bell):
                yield b": heartbeat\n\n"

    def wake(self) -> None:
        """A graph was published; from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the server's event loop has ended, and its clients with it
                self._loop.call_soon_threadsafe(self._ring)

    def close(self) -> None:
        """End every stream; from any thread."""
        self._closed = True
        self.wake()

    async def _rung(self, bell: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(self._heartbeat):
                await bell.wait()
        except TimeoutError:
            return False
        return True

    def _ring(self) -> None:
        for bell in self._bells:
            bell.set()


def _event(generation: int) -> bytes:
    return f'event: generation\nid: {generation}\ndata: {{"generation":{generation}}}\n\n'.encode()
