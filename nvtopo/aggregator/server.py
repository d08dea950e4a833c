"""The HTTP server: uvicorn in a thread of its own, on a socket that is bound before the thread starts."""

import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import uvicorn

from nvtopo.aggregator.access import Access
from nvtopo.aggregator.api import application
from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.watch import HEARTBEAT_SECONDS, MOST_CLIENTS, Watch
from nvtopo.errors import ReadError

#: How long an answer under way may take to end when the server does.
_GRACE_SECONDS: Final = 2
_BACKLOG: Final = 128


class Server:
    """Serves a loop's graph while it is open; ``port`` 0 takes a free one."""

    def __init__(  # noqa: PLR0913 - address and limits, each with a default
        self,
        aggregator: Aggregator,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        access: Access | None = None,
        tls: Callable[[], ssl.SSLContext] | None = None,
        most_clients: int = MOST_CLIENTS,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        """Binds at once. Without ``access`` it asks nobody who they are; ``tls`` gives each connection its context.

        Raises:
            ReadError: the address cannot be bound.
        """
        self._socket = _bound(address, port)
        self._address = address
        self.port: int = self._socket.getsockname()[1]
        self._scheme = "https" if tls else "http"
        self._aggregator = aggregator
        self._watch = Watch(lambda: aggregator.graph, most_clients=most_clients, heartbeat_seconds=heartbeat_seconds)
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                application(aggregator, self._watch, access),
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
                ssl_context_factory=None if tls is None else lambda *_: _of_the_moment(tls),
            )
        )
        self._thread = threading.Thread(target=self._uvicorn.run, args=([self._socket],), name="http", daemon=True)

    @property
    def url(self) -> str:
        """Where it is served."""
        host = f"[{self._address}]" if ":" in self._address else self._address
        return f"{self._scheme}://{host}:{self.port}"

    def __enter__(self) -> Self:
        self._end_listening = self._aggregator.listen(self._watch.wake)
        self._thread.start()
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self._end_listening()
        self._watch.close()
        self._uvicorn.should_exit = True
        self._thread.join()
        self._socket.close()


def _of_the_moment(tls: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """A context that gives each connection the one that is right when it begins: certificates are rotated."""

    def replace(connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = tls()

    context = tls()
    context.sni_callback = replace  # called for every client, whether it names a server or not
    return context


def _bound(address: str, port: int) -> socket.socket:
    """A socket that listens: whoever connects before the thread runs waits and is served."""
    try:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return socket.create_server((address, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ReadError(f"cannot listen on {address}:{port}: {error.strerror}") from error
