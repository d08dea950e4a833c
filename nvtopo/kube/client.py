"""The API server: paths in, bytes out. Thin over urllib3, which is imported on connecting and not before.

Where the server is and who we are, the ``kubernetes`` package finds out (``connection``). Its generated models are not
used: documents are bytes that msgspec encodes and decodes, about a hundred times faster.

Every request has a deadline. Nothing is retried here: urllib3's own retries would sleep and could not be interrupted.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import msgspec

from nvtopo import __version__
from nvtopo.errors import ApiError
from nvtopo.kube import stream, unowned_fields
from nvtopo.kube.connection import Connection, resolve
from nvtopo.kube.refusal import refusal, unanswered
from nvtopo.kube.request import JSON, READ_SECONDS, Request, selected
from nvtopo.kube.stream import WatchEvent
from nvtopo.runtime.ahead import Ahead
from nvtopo.wire.documents import MOST_BYTES, Json

if TYPE_CHECKING:
    from nvtopo.kube.session import Session

PAGE_SIZE: Final = 500
"""Objects a list answer holds at most; 500 nodes are about 4 MB. Where they are larger, fewer are asked for."""
#: As long as an API server works on a request, unless told otherwise.
_PAGE_SECONDS: Final = 60.0
#: Of one collection. Ten thousand nodes are twenty pages of five hundred.
_MOST_PAGES: Final = 10_000
_MOST_OBJECTS: Final = 200_000
_SMALLER: Final = 8
_CONNECT_SECONDS: Final = 5.0
#: The API server ends a watch after this time; the next one resumes where it ended.
_WATCH_SECONDS: Final = 290
#: How long a watch may stay silent beyond that before the connection counts as dead.
_WATCH_GRACE_SECONDS: Final = 15.0
_OK: Final = range(200, 300)


class Response(NamedTuple):
    """What the API server answered: ``status`` tells 200 from 201, created."""

    status: int
    body: bytes


class TooLarge(ApiError):
    """The answer is larger than any that is read."""


class ListMetadata(msgspec.Struct, rename="camel"):
    """Of a list: where the next page is, and from where a watch goes on."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class ListPage(msgspec.Struct):
    """One page of a list; its items as they came."""

    metadata: ListMetadata
    items: list[msgspec.Raw]


_PAGE: Final = Json(ListPage, "a list of objects", has_raw=True)


class Client:
    """One API server as one identity sees it. Usable from several threads at once."""

    def __init__(self, connection: Connection, renewed: Callable[[], Connection] | None = None) -> None:
        """``renewed`` gives a connection whose credentials are new, once these expire; ``connect`` gives both."""
        from nvtopo.kube.session import Session

        self._session = Session(connection)
        self._renewed = renewed
        self._renewing = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the idle connections."""
        self._session.close()

    def get(self, path: str, *, seconds: float = READ_SECONDS) -> bytes:
        """One object, or any other answer to GET."""
        return self.request("GET", path, seconds=seconds).body

    def create(self, path: str, document: bytes, *, seconds: float = READ_SECONDS) -> bytes:
        """POST: a new object in the collection at ``path``; also how reviews are asked for."""
        return self.request("POST", path, body=document, seconds=seconds).body

    def replace(self, path: str, document: bytes, *, seconds: float = READ_SECONDS) -> bytes:
        """PUT: ``Conflict`` where the document's resource version is not the newest."""
        return self.request("PUT", path, body=document, seconds=seconds).body

    def delete(self, path: str) -> None:
        """The object and what it owns, in the background; ``NotFound`` where there is none."""
        self.request("DELETE", path, query={"propagationPolicy": "Background"})

    def apply(self, path: str, document: bytes, *, manager: str, seconds: float = READ_SECONDS) -> Response:
        """Server-side apply of a part with one writer: ``manager`` takes over what others set in it.

        What they added in it, which applying leaves, is removed by a second request. Labels and the like stay theirs.
        """
        answer = self.request(
            "PATCH",
            path,
            query={"fieldManager": manager, "force": "true"},
            body=document,
            content_type="application/apply-patch+yaml",
            seconds=seconds,
        )
        removal = unowned_fields.removal(document, answer.body)
        if removal is not None:
            self.request(
                "PATCH",
                path,
                query={"fieldManager": manager},
                body=removal,
                content_type="application/json-patch+json",
                seconds=seconds,
            )
        return answer

    def pages(self, path: str, *, selector: str = "", fields: str = "", accept: str = JSON) -> Iterator[ListPage]:
        """The whole collection, or what of it ``selector`` (of labels) and ``fields`` match, page by page.

        The next page is asked for while the caller reads one. ``Gone`` where a later page came too late to be
        consistent; ApiError where there is no end of it.
        """
        query = selected(selector, fields)
        (page, size), objects = self._page(path, query, PAGE_SIZE, accept), 0
        for _ in range(_MOST_PAGES):
            objects += len(page.items)
            if objects > _MOST_OBJECTS:
                break
            if not page.metadata.continue_:
                yield page
                return
            query["continue"] = page.metadata.continue_
            following = Ahead(partial(self._page, path, {**query}, size, accept))
            yield page
            page, size = following.result()
        raise ApiError(f"GET {path}: expected at most {_MOST_OBJECTS} objects in {_MOST_PAGES} pages, got more")

    def _page(self, path: str, query: Mapping[str, str], size: int, accept: str) -> tuple[ListPage, int]:
        """A page of at most that many objects, or of as many as one answer holds; and how many that are."""
        while True:
            try:
                answer = self.request(
                    "GET", path, query={**query, "limit": str(size)}, accept=accept, seconds=_PAGE_SECONDS
                )
            except TooLarge:
                if size == 1:
                    raise
                size = max(1, size // _SMALLER)
            else:
                return _PAGE.read(answer.body, f"GET {path}"), size

    def watch(  # noqa: PLR0913 - what a watch has
        self,
        path: str,
        resource_version: str,
        stop: threading.Event,
        *,
        selector: str = "",
        fields: str = "",
        accept: str = JSON,
    ) -> Iterator[WatchEvent]:
        """What happens to the collection after ``resource_version``, until the server ends it or ``stop`` is set.

        Of the whole collection, or of what of it ``selector`` (of labels) and ``fields`` match.

        Raises:
            Gone: the history does not reach back that far.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(_WATCH_SECONDS),
        } | selected(selector, fields)
        seconds = _WATCH_SECONDS + _WATCH_GRACE_SECONDS
        response = self._open(Request("GET", path, query, seconds=seconds, accept=accept))
        with contextlib.closing(response), stream.ended_by(stop, response):
            yield from stream.events(path, response, stop)

    def request(  # noqa: PLR0913 - what a request of HTTP has
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        seconds: float = READ_SECONDS,
        accept: str = JSON,
    ) -> Response:
        """Any request that is answered at once, or given up after ``seconds``: connecting is part of them.

        Raises:
            ApiError: the server refused (see ``errors`` for its kinds), or did not answer: ``status`` 0.
        """
        request = Request(method, path, query or {}, body, content_type, seconds, accept)
        response = self._open(request)
        with contextlib.closing(response):
            return Response(response.status, _content(request.what, response))

    def _open(self, request: Request) -> Any:
        """The answer, its body still to be read; it is 2xx."""
        from urllib3 import Timeout

        with unanswered(request.what):
            session = self._current()
            response = session.pool.request(
                request.method,
                session.connection.host + request.target,
                body=request.body,
                headers={
                    "Content-Type": request.content_type,
                    "Accept": request.accept,
                    **_headers(session.connection),
                },
                timeout=Timeout(connect=min(_CONNECT_SECONDS, request.seconds), total=request.seconds),
                retries=False,
                redirect=False,
                preload_content=False,
            )
        if response.status in _OK:
            return response
        with contextlib.closing(response):
            raise refusal(request.what, response.status, response.headers, _content(request.what, response))

    def _current(self) -> "Session":
        """The session, with credentials that have not expired. What other threads do in the one before, goes on."""
        with self._renewing:
            if self._renewed is not None and self._session.outdated:
                from nvtopo.kube.session import Session

                self._session = Session(self._renewed())
            return self._session


def connect(kubeconfig: str | os.PathLike[str] | None = None, *, context: str | None = None) -> Client:
    """A client by that kubeconfig; without one, as the pod's own account, else by ``$KUBECONFIG`` or its default.

    Raises:
        UsageError: the ``kubernetes`` package is not installed.
        ReadError: there is no usable configuration.
    """
    renewed = partial(resolve, None if kubeconfig is None else os.fspath(kubeconfig), context)
    return Client(renewed(), renewed)


def _headers(connection: Connection) -> dict[str, str]:
    headers = {"User-Agent": f"nvtopo/{__version__}"}
    authorization = connection.authorization_now()
    return headers | {"Authorization": authorization} if authorization else headers


def _content(what: str, response: Any) -> bytes:
    """The whole body, which some proxy may have written."""
    with unanswered(what):
        content: bytes = response.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise TooLarge(f"{what}: expected an answer of at most {MOST_BYTES >> 20} MiB, got more")
    return content
