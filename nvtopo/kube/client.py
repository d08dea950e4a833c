"""The API server: paths in, bytes out. Thin over the ``kubernetes`` package.

Of that package this uses what is hard to get right: kubeconfig files with their certificates and credential plugins,
the pod's own account, proxies, TLS. Its generated models stay out of the way: documents are
bytes that msgspec encodes and decodes, about a hundred times faster. The package is imported on connecting and not
before: it takes a quarter of a second.

Every request has a deadline. Nothing is retried here: urllib3's own retries would sleep where nobody can end them.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, cast
from urllib.parse import urlencode

import msgspec

from nvtopo import __version__
from nvtopo.errors import ParseError, ReadError, UsageError
from nvtopo.kube import strays, stream
from nvtopo.kube.refusal import one_line, refusal, unanswered
from nvtopo.kube.stream import WatchEvent

PAGE_SIZE: Final = 500
"""Objects a list answer holds at most; 500 nodes are about 4 MB."""
_CONNECT_SECONDS: Final = 5.0
_READ_SECONDS: Final = 30.0
#: The API server ends a watch after this time; the next one resumes where it ended.
_WATCH_SECONDS: Final = 290
#: How long a watch may stay silent beyond that before the connection counts as dead.
_WATCH_GRACE_SECONDS: Final = 15.0
_OK: Final = range(200, 300)
#: A peer that vanished is noticed after idle + count x interval = 60 s, although a watch never sends.
_KEEP_ALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


class Answer(NamedTuple):
    """What the API server answered: ``status`` tells 200 from 201, created."""

    status: int
    body: bytes


class ListMetadata(msgspec.Struct, rename="camel"):
    """Of a list: where the next page is, and from where a watch goes on."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class Page(msgspec.Struct):
    """One page of a list; its items as they came."""

    metadata: ListMetadata
    items: list[msgspec.Raw]


class _Request(NamedTuple):
    """One request, as far as it differs from the others."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes | None = None
    content_type: str = "application/json"
    read_seconds: float = _READ_SECONDS

    @property
    def what(self) -> str:
        """How messages name it."""
        return f"{self.method} {self.path}"

    @property
    def target(self) -> str:
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


_PAGE: Final = msgspec.json.Decoder(Page)


class Client:
    """One API server as one identity sees it. Usable from several threads at once."""

    def __init__(self, configuration: Any) -> None:
        """``configuration`` is a ``kubernetes.client.Configuration``; ``connect`` makes one."""
        from kubernetes.client import ApiClient

        configuration.socket_options = list(_KEEP_ALIVE)
        self._configuration = configuration
        self._api: Any = ApiClient(configuration)
        self._pool = self._api.rest_client.pool_manager

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the idle connections."""
        self._api.close()

    def get(self, path: str) -> bytes:
        """One object, or any other answer to GET."""
        return self.request("GET", path).body

    def create(self, path: str, document: bytes, *, read_seconds: float = _READ_SECONDS) -> bytes:
        """POST: a new object in the collection at ``path``; also how reviews are asked for."""
        return self._answer(_Request("POST", path, {}, document, read_seconds=read_seconds)).body

    def replace(self, path: str, document: bytes) -> bytes:
        """PUT: ``Conflict`` where the document's resource version is not the newest."""
        return self.request("PUT", path, body=document).body

    def delete(self, path: str) -> None:
        """The object and what it owns, in the background; ``NotFound`` where there is none."""
        self.request("DELETE", path, query={"propagationPolicy": "Background"})

    def apply(self, path: str, document: bytes, *, manager: str) -> Answer:
        """Server-side apply of a part with one writer: ``manager`` takes over what others set in it.

        What they added in it, which applying leaves, is removed by a second request. Labels and the like stay theirs.
        """
        answer = self.request(
            "PATCH",
            path,
            query={"fieldManager": manager, "force": "true"},
            body=document,
            content_type="application/apply-patch+yaml",
        )
        removal = strays.removal(document, answer.body)
        if removal is not None:
            query = {"fieldManager": manager}
            self.request("PATCH", path, query=query, body=removal, content_type="application/json-patch+json")
        return answer

    def pages(self, path: str) -> Iterator[Page]:
        """The whole collection, page by page. ``Gone`` where a later page came too late to be consistent."""
        query = {"limit": str(PAGE_SIZE)}
        while True:
            answer = self.request("GET", path, query=query)
            try:
                page = _PAGE.decode(answer.body)
            except msgspec.MsgspecError as error:
                raise ParseError(f"GET {path}: expected a list of objects: {error}") from error
            yield page
            if not page.metadata.continue_:
                return
            query["continue"] = page.metadata.continue_

    def watch(self, path: str, resource_version: str, stop: threading.Event) -> Iterator[WatchEvent]:
        """What happens to the collection after ``resource_version``, until the server ends it or ``stop`` is set.

        Raises:
            Gone: the history does not reach back that far.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        read_seconds = _WATCH_SECONDS + _WATCH_GRACE_SECONDS
        response = self._open(_Request("GET", path, query, read_seconds=read_seconds))
        with contextlib.closing(response), stream.ended_by(stop, response):
            yield from stream.events(path, response, stop)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        """Any request that is answered at once.

        Raises:
            ApiError: the server refused (see ``errors`` for its kinds), or did not answer: ``status`` 0.
        """
        return self._answer(_Request(method, path, query or {}, body, content_type))

    def _answer(self, request: _Request) -> Answer:
        response = self._open(request)
        with contextlib.closing(response):
            return Answer(response.status, _content(request.what, response))

    def _open(self, request: _Request) -> Any:
        """The answer, its body still to be read; it is 2xx."""
        from urllib3 import Timeout

        with unanswered(request.what):
            response = self._pool.request(
                request.method,
                self._configuration.host + request.target,
                body=request.body,
                headers={"Content-Type": request.content_type, **self._headers()},
                timeout=Timeout(connect=_CONNECT_SECONDS, read=request.read_seconds),
                retries=False,
                redirect=False,
                preload_content=False,
            )
        if response.status in _OK:
            return response
        with contextlib.closing(response):
            raise refusal(request.what, response.status, response.headers, _content(request.what, response))

    def _headers(self) -> dict[str, str]:
        """With the token of this moment: asking for the settings calls ``refresh_api_key_hook``."""
        headers = {"Accept": "application/json", "User-Agent": f"nvtopo/{__version__}"}
        for setting in self._configuration.auth_settings().values():
            if setting["value"]:
                headers[setting["key"]] = setting["value"]
        return headers


def connect(kubeconfig: str | os.PathLike[str] | None = None, *, context: str | None = None) -> Client:
    """A client by that kubeconfig; without one, as the pod's own account, else by ``$KUBECONFIG`` or its default.

    Raises:
        UsageError: the ``kubernetes`` package is not installed.
        ReadError: there is no usable configuration.
    """
    try:
        import kubernetes.client
        import kubernetes.config
    except ImportError as error:
        raise UsageError("kubernetes: the package is not installed; pip install 'nvtopo[kubernetes]'") from error
    configuration, config = cast("Any", kubernetes.client.Configuration()), cast("Any", kubernetes.config)
    try:
        if kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=configuration, try_refresh_token=False)
            configuration.refresh_api_key_hook = _read_token
        else:
            file = None if kubeconfig is None else os.fspath(kubeconfig)
            config.load_kube_config(file, context, client_configuration=configuration)
    except Exception as error:  # the package lets through whatever YAML, base64, OpenSSL and its plugins raise
        raise ReadError(one_line(f"{kubeconfig or 'Kubernetes configuration'}: {error}")) from error
    return Client(configuration)


def _read_token(configuration: Any) -> None:
    """The pod's token, read for each request: the kubelet replaces it about every hour.

    The package would read it once a minute by the wall clock: set back, that is hours after the token has expired.
    """
    from kubernetes.config import incluster_config

    file = Path(cast("Any", incluster_config).SERVICE_TOKEN_FILENAME)
    token = "".join(file.read_text(encoding="ascii", errors="ignore").split())
    configuration.api_key["BearerToken"] = f"Bearer {token}"


def _content(what: str, response: Any) -> bytes:
    with unanswered(what):
        content: bytes = response.read()
    return content
