"""The agent's HTTP page on its own port: ``/metrics``, ``/healthz``, ``/readyz``."""

import threading
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from nvtopo.agent.http.exposition import Exposition
from nvtopo.agent.http.server import VISIT, BoundedServer, StartResponse
from nvtopo.auth.hosts import REFUSED, is_loopback, is_of_this_machine
from nvtopo.errors import ReadError
from nvtopo.sinks.metrics import connections, series

if TYPE_CHECKING:
    from ssl import SSLContext

    from nvtopo.auth.decision import Authorize


_METRICS: Final = "/metrics"


class Listen(NamedTuple):
    """Where the page is served, and how it is protected; by default not at all."""

    address: str
    port: int
    """0 takes a free one."""
    tls: "Callable[[], SSLContext] | None" = None
    """The context for a new connection."""
    authorize: "Authorize | None" = None
    """Who may read the metrics. Probes are open: the kubelet has no token."""


class MetricsPage:
    """Serves while it is open."""

    def __init__(
        self,
        parts: Sequence[series.Part],
        ready: Callable[[], bool],
        alive: Callable[[], bool] = lambda: True,
        *,
        listen: Listen,
    ) -> None:
        """``ready`` answers ``/readyz``, and ``alive``, which a new process would have to mend, ``/healthz``."""
        self._metrics = Exposition((*parts, self._connections))
        self._listen = listen
        self._for_this_machine = listen.authorize is None and is_loopback(listen.address)
        self._probes = {
            "/healthz": (alive, "the loop is stuck, or a thread has ended: the log says why"),
            "/readyz": (ready, "not every sink has the latest reading yet, or that reading is old"),
        }
        try:
            self._server = BoundedServer(listen.address, listen.port, self._serve, listen.tls, slow_paths=(_METRICS,))
        except OSError as error:
            raise ReadError(f"cannot listen on {listen.address}:{listen.port}: {error.strerror}") from error
        self._server.seats.on_drop = self._metrics.look
        self._thread = threading.Thread(target=self._server.serve_forever, name="page", daemon=True)

    @property
    def url(self) -> str:
        """Where it is served."""
        host, port = self._server.server_address[:2]
        scheme = "https" if self._listen.tls else "http"
        return f"{scheme}://[{host!s}]:{port}" if ":" in str(host) else f"{scheme}://{host!s}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if self._for_this_machine and not is_of_this_machine(environ.get("HTTP_HOST", "")):
            return _answer(start_response, "421 Misdirected Request", REFUSED)
        path = environ.get("PATH_INFO", "/")
        if environ.get("REQUEST_METHOD") != "GET":
            return _answer(start_response, "405 Method Not Allowed", "expected GET", ("Allow", "GET"))
        if path == _METRICS:
            return self._protected(environ, start_response)
        if path in self._probes:
            holds, otherwise = self._probes[path]
            good = holds()
            return _answer(start_response, "200 OK" if good else "503 Service Unavailable", "ok" if good else otherwise)
        return _answer(start_response, "404 Not Found", "known paths: /metrics /healthz /readyz")

    def _protected(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        authorize, visit = self._listen.authorize, environ[VISIT]
        if authorize is not None:
            refusal = authorize(environ.get("HTTP_AUTHORIZATION", ""), environ.get("REMOTE_ADDR", ""))
            if refusal is not None:
                status = f"{refusal.status.value} {refusal.status.phrase}"
                return _answer(start_response, status, refusal.reason, *refusal.headers.items())
            self._server.seats.vouch(visit)
        return self._metrics(environ, start_response, lambda: visit in self._server.seats, visit.asked_at)

    def _connections(self) -> series.Families:
        return connections.families(len(self._server.seats), self._server.seats.dropped)


def _answer(start_response: StartResponse, status: str, text: str, *headers: tuple[str, str]) -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), *headers])
    return [f"{text}\n".encode()]
