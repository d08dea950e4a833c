"""The agent's HTTP page on its own port: ``/metrics``, ``/healthz``, ``/readyz``."""

import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client.exposition import ThreadingWSGIServer

from nvtopo.agent import exposition
from nvtopo.errors import ReadError
from nvtopo.sinks import series

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """A scrape a second is no news."""


class _ServerIPv6(ThreadingWSGIServer):
    address_family = socket.AF_INET6


class Page:
    """Serves while it is open; ``port`` 0 takes a free one."""

    def __init__(
        self,
        parts: Sequence[series.Part],
        ready: Callable[[], bool],
        alive: Callable[[], bool] = lambda: True,
        *,
        address: str,
        port: int,
    ) -> None:
        """``ready`` answers ``/readyz``, and ``alive``, which a new process would have to mend, ``/healthz``."""
        self._metrics = exposition.app(parts)
        self._probes = {
            "/healthz": (alive, "the loop is stuck"),
            "/readyz": (ready, "not every sink has the latest reading yet"),
        }
        try:
            server = _ServerIPv6 if ":" in address else ThreadingWSGIServer
            self._server = make_server(address, port, self._serve, server_class=server, handler_class=_Quiet)
        except OSError as error:
            raise ReadError(f"cannot listen on {address}:{port}: {error.strerror}") from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="page", daemon=True)

    @property
    def url(self) -> str:
        """Where it is served."""
        host, port = self._server.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path == "/metrics":
            return self._metrics(environ, start_response)
        if path in self._probes:
            holds, otherwise = self._probes[path]
            good = holds()
            return _answer(start_response, "200 OK" if good else "503 Service Unavailable", "ok" if good else otherwise)
        return _answer(start_response, "404 Not Found", "known paths: /metrics /healthz /readyz")


def _answer(start_response: StartResponse, status: str, text: str) -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{text}\n".encode()]
