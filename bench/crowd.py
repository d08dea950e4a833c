"""Clients that mean no good, or are just slow: each connects, does one thing, and comes again when it was closed.

Everything is on loopback, whose addresses 127.0.0.0/8 are as many clients as one likes.
"""

import asyncio
import contextlib
import itertools
import os
import select
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Final, NamedTuple

#: How often a client looks whether it was closed, and how long it stays away then.
_LOOK_SECONDS: Final = 0.2
_AWAY_SECONDS: Final = 0.05
_CONNECT_SECONDS: Final = 5.0
_SMALL_BUFFER_BYTES: Final = 4096

Act = Callable[[socket.socket], Coroutine[None, None, None]]


async def idle(_connection: socket.socket) -> None:
    """Say nothing."""


async def slow_head(connection: socket.socket) -> None:
    """Send a head that has no end, a byte at a time."""
    for byte in itertools.cycle(b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 1000):
        await _send(connection, bytes([byte]))
        await asyncio.sleep(_LOOK_SECONDS)


async def half_request(connection: socket.socket) -> None:
    """Send half a head."""
    await _send(connection, b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: ")


async def huge_head(connection: socket.socket) -> None:
    """Send a head as long as it is taken."""
    await _send(connection, b"GET / HTTP/1.1\r\n")
    while True:
        await _send(connection, b"X: " + b"x" * 60_000 + b"\r\n")


async def endless_body(connection: socket.socket) -> None:
    """Ask, and send a body as long as it is taken."""
    await _send(connection, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await _send(connection, b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n")


async def pipeline(connection: socket.socket) -> None:
    """Ask a thousand times in one go, and read no answer."""
    await _send(connection, b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 1000)


async def garbage(connection: socket.socket) -> None:
    """Send what is no HTTP."""
    await _send(connection, os.urandom(2000))


async def unread_stream(connection: socket.socket) -> None:
    """Follow events, and read none."""
    await _send(connection, b"GET /v1/graph/watch HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")


async def unread_page(connection: socket.socket) -> None:
    """Ask for a long page, and do not read it."""
    await _send(connection, b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")


HOSTILE: Final[tuple[Act, ...]] = (
    idle,
    slow_head,
    half_request,
    huge_head,
    endless_body,
    pipeline,
    garbage,
    unread_stream,
)
READERS: Final[tuple[Act, ...]] = (unread_page,)
_ACTS: Final = {act.__name__: act for act in (*HOSTILE, *READERS)}


class Crowd:
    """Some clients of each kind, from several addresses."""

    def __init__(
        self, port: int, count: int, acts: tuple[Act, ...] = HOSTILE, *, addresses: int = 8, first_address: int = 1
    ) -> None:
        """From 127.0.0.``first_address`` and the following ones."""
        self._port = port
        self._count = count
        self._acts = acts
        self._addresses = addresses
        self._first = first_address
        self.connections = 0
        """Connections that were made so far."""
        self.open = 0
        self._all_came = asyncio.Event()

    @contextlib.asynccontextmanager
    async def there(self) -> AsyncIterator["Crowd"]:
        """The clients do what they do in the block, once each has had a connection."""
        tasks = [
            asyncio.create_task(self._client(act, f"127.0.0.{self._first + number % self._addresses}"))
            for number, act in zip(range(self._count), itertools.cycle(self._acts))
        ]
        try:
            await self._all_came.wait()
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _client(self, act: Act, address: str) -> None:
        while True:
            with socket.socket() as connection, contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER_BYTES)
                connection.settimeout(0)
                connection.bind((address, 0))
                async with asyncio.timeout(_CONNECT_SECONDS):
                    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self._port))
                await self._connected(connection, act)
            await asyncio.sleep(_AWAY_SECONDS)

    async def _connected(self, connection: socket.socket, act: Act) -> None:
        self.connections += 1
        self.open += 1
        if self.connections >= self._count:
            self._all_came.set()
        doing = asyncio.create_task(_quietly(act, connection))
        try:
            while not _closed(connection):  # noqa: ASYNC110 - no event loop tells it without reading
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            self.open -= 1
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)


async def _quietly(act: Act, connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the server had enough
        await act(connection)


async def _send(connection: socket.socket, content: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(connection, content)


def _closed(connection: socket.socket) -> bool:
    """Whether the server closed, seen without reading."""
    looked = select.poll()
    looked.register(connection, select.POLLRDHUP)
    return bool(looked.poll(0))


class Gathering(NamedTuple):
    """Who comes."""

    clients: int
    acts: tuple[Act, ...] = HOSTILE
    addresses: int = 8
    first_address: int = 1


class There:
    """A crowd in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def connections(self) -> int:
        """How many connections it made; it leaves."""
        return int(self._process.communicate("how many?\n")[0])


@contextlib.contextmanager
def crowded(port: int, *gatherings: Gathering) -> Iterator[There]:
    """All of them there, in a process of their own, once each client has had a connection."""
    told = [
        f"{one.clients},{one.addresses},{one.first_address},{'+'.join(act.__name__ for act in one.acts)}"
        for one in gatherings
    ]
    arguments = [sys.executable, "-m", "bench.crowd", str(port), *told]
    root = Path(__file__).resolve().parents[1]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "all came\n"
            yield There(process)
        finally:
            process.kill()


async def _come(port: int, told: list[str]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        crowds = []
        for one in told:
            count, addresses, first, names = one.split(",")
            acts = tuple(_ACTS[name] for name in names.split("+"))
            crowd = Crowd(port, int(count), acts, addresses=int(addresses), first_address=int(first))
            crowds.append(await stack.enter_async_context(crowd.there()))
        print("all came", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        print(sum(crowd.connections for crowd in crowds), flush=True)


if __name__ == "__main__":
    asyncio.run(_come(int(sys.argv[1]), sys.argv[2:]))
