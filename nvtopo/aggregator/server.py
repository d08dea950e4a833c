"""The HTTP server: uvicorn in a thread of its own, on a socket that is bound before the thread starts."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self

import uvicorn
from starlette.routing import Route

from nvtopo.aggregator import api
from nvtopo.aggregator.access import Access
from nvtopo.aggregator.guest import Guest
from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.own_host import OwnHost
from nvtopo.aggregator.reception import LIMITS, Reception
from nvtopo.aggregator.site import Site
from nvtopo.aggregator.watch import HEARTBEAT_SECONDS, Subscribers
from nvtopo.auth.hosts import is_loopback
from nvtopo.auth.review_budget import client_of
from nvtopo.errors import ReadError
from nvtopo.runtime.connection_slots import Limits
from nvtopo.runtime.front import BACKLOG, Door, Front
from nvtopo.runtime.seats import Seats
from nvtopo.runtime.visit import Visit
from nvtopo.sinks.metrics import connections
from nvtopo.sinks.metrics.series import Part

_NOWHERE: Final = Site()
#: How long an answer under way may take to end when the server does.
_GRACE_SECONDS: Final = 2


class GraphServer:
    """Serves a loop's graph while it is open; ``port`` 0 takes a free one."""

    def __init__(  # noqa: PLR0913 - address and limits, each with a default
        self,
        aggregator: Aggregator,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        access: Access | None = None,
        parts: Sequence[Part] = (),
        tls: Callable[[], ssl.SSLContext] | None = None,
        alive: Callable[[], bool] = lambda: True,
        more: Sequence[Route] = (),
        site: Site = _NOWHERE,
        limits: Limits = LIMITS,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        """Binds at once. Without ``access`` everybody may read; ``tls`` gives each connection its context.

        ``parts`` of the metrics page come beside those of the graph; ``alive`` answers ``/healthz``; ``more`` are
        routes of their own (``Placements.routes``); ``site`` is the cluster.

        Raises:
            ReadError: the address cannot be bound.
        """
        self._socket = _bound(address, port)
        self._address = address
        self.port: int = self._socket.getsockname()[1]
        self._scheme = "https" if tls else "http"
        self._aggregator = aggregator
        self._watch = Subscribers(
            lambda: aggregator.graph, heartbeat_seconds=heartbeat_seconds, sent=aggregator.spans.sent
        )
        seats = Seats(limits)
        all_parts = (*parts, lambda: connections.families(len(seats), seats.dropped))
        application = api.application(aggregator, self._watch, access, all_parts, alive, more, site)
        config = uvicorn.Config(
            OwnHost(application) if access is None and is_loopback(address) else application,
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="error",  # what strangers send is counted, not logged
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        self._uvicorn = _Server(config, seats, tls)
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    @property
    def url(self) -> str:
        """Where it is served."""
        host = f"[{self._address}]" if ":" in self._address else self._address
        return f"{self._scheme}://{host}:{self.port}"

    def __enter__(self) -> Self:
        self._end_listening = self._aggregator.listen(self._watch.wake)
        self._watch.wake()
        self._thread.start()
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self._end_listening()
        self._watch.close()
        self._uvicorn.should_exit = True
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        try:
            self._uvicorn.run([self._socket])
        except SystemExit as error:  # which ends a thread without a word
            raise RuntimeError("the HTTP server gave up") from error


class _Server(uvicorn.Server):
    """uvicorn, but for who is let in: a thread of its own accepts, and gives on who asks something."""

    def __init__(self, config: uvicorn.Config, seats: Seats, tls: Callable[[], ssl.SSLContext] | None) -> None:
        super().__init__(config)
        self._seats = seats
        self._tls = tls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept. What takes long is computed by one thread beside the event loop."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1, thread_name_prefix="documents"))
        self.servers = []
        self._reception = Reception(self.config.loaded_app, self._seats, self._guest, self._tls)
        door = Door(client_of, only_begun=self._tls is not None)
        self._fronts = [Front(one, self._seats, door, self._reception.come) for one in sockets or ()]
        self._threads = [threading.Thread(target=front.run, name="front", daemon=True) for front in self._fronts]
        for thread in self._threads:
            thread.start()
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nobody any more; answers under way may end."""
        for front in self._fronts:
            front.stop()
        for thread in self._threads:
            thread.join()
        self._reception.close()
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    def _guest(self, visit: Visit) -> Guest:
        return Guest(self.config, self.server_state, self._seats, visit)


def _bound(address: str, port: int) -> socket.socket:
    """A listening socket. Clients that connect before the thread runs wait and are served."""
    try:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return socket.create_server((address, port), family=family, backlog=BACKLOG)
    except OSError as error:
        # create_server says the address once more: "Address already in use (while attempting to bind on address …)"
        reason = (error.strerror or str(error)).partition(" (while ")[0]
        raise ReadError(f"cannot listen on {address}:{port}: {reason}") from error
