"""The agent's HTTP page on its own port: ``/metrics``, ``/healthz``, ``/readyz``."""

import threading
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from nvtopo.agent import exposition
from nvtopo.agent.server import Server, StartResponse
from nvtopo.errors import ReadError
from nvtopo.sinks.metrics import series

if TYPE_CHECKING:
    from ssl import SSLContext

    from nvtopo.agent.protection import Authorize


class Listen(NamedTuple):
    """Where the page is served, and how it is protected; by default not at all."""

    address: str
    port: int
    """0 takes a free one."""
    tls: "Callable[[], SSLContext] | None" = None
    """The context for a new connection."""
    authorize: "Authorize | None" = None
    """Who may read the metrics. Probes are open: the kubelet has no token."""


class Page:
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
        self._metrics = exposition.app(parts)
        self._listen = listen
        self._probes = {
            "/healthz": (alive, "the loop is stuck"),
            "/readyz": (ready, "not every sink has the latest reading yet"),
        }
        try:
            self._server = Server(listen.address, listen.port, self._serve, listen.tls)
        except OSError as error:
            raise ReadError(f"cannot listen on {listen.address}:{listen.port}: {error.strerror}") from error
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
        path = environ.get("PATH_INFO", "/")
        if environ.get("REQUEST_METHOD") != "GET":
            return _answer(start_response, "405 Method Not Allowed", "expected GET", ("Allow", "GET"))
        if path == "/metrics":
            return self._protected(environ, start_response)
        if path in self._probes:
            holds, otherwise = self._probes[path]
            good = holds()
            return _answer(start_response, "200 OK" if good else "503 Service Unavailable", "ok" if good else otherwise)
        return _answer(start_response, "404 Not Found", "known paths: /metrics /healthz /readyz")

    def _protected(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        authorize = self._listen.authorize
        refusal = authorize(environ.get("HTTP_AUTHORIZATION", "")) if authorize else None
        if refusal is None:
            return self._metrics(environ, start_response)
        return _answer(start_response, refusal.status, refusal.words, ("WWW-Authenticate", "Bearer"))


def _answer(start_response: StartResponse, status: str, text: str, *headers: tuple[str, str]) -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), *headers])
    return [f"{text}\n".encode()]
