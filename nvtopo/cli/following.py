"""Follow an aggregator's graph: the whole first, then every change, over lost connections."""

import threading
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPResponse
from typing import Final, NamedTuple

from nvtopo.cli.cluster_source import checked_url
from nvtopo.errors import NvtopoError, ParseError, ReadError
from nvtopo.exporters import change_records, document
from nvtopo.exporters.document import GraphDocument
from nvtopo.runtime.backoff import Backoff
from nvtopo.wire.documents import MOST_BYTES
from nvtopo.wire.event_stream import Message, messages
from nvtopo.wire.pull import Refused, opened

#: Three heartbeats of the aggregator: it sends nothing for longer only if it is gone.
SILENCE_SECONDS: Final = 45.0
_NOT_BY_WAITING: Final = range(400, 500)
_SOON: Final = (408, 429)


class State(NamedTuple):
    """What is known, and the event that it is known from."""

    graph: GraphDocument | None = None
    last_id: str = ""

    def after(self, message: Message, subject: str) -> "State":
        """With one more event; nothing is known of a graph whose change does not follow.

        Raises:
            ParseError: the event is not what it should be.
            ReadError: the aggregator has dropped us.
        """
        if message.event == "reset":
            return State(document.decode(message.data, subject), message.id)
        if message.event == "dropped":
            raise ReadError(f"{subject}: dropped, since what it sent was read too slowly")
        if self.graph is None:
            raise ReadError(f"{subject}: expected the whole graph first; this aggregator is of an earlier release")
        if message.event != "change":
            return self
        change = change_records.decode(message.data, subject)
        if change.generation <= self.graph.generation:
            return self
        if change.previous != self.graph.generation:
            raise ParseError(f"{subject}: a change is missing")
        return State(change_records.applied(self.graph, change), message.id)


class Latest:
    """The newest graph, from the thread that follows to the one that shows it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._graph: GraphDocument | None = None
        self._error: BaseException | None = None

    def put(self, graph: GraphDocument) -> None:
        """Show this graph next, instead of one that was not shown yet."""
        with self._changed:
            self._graph = graph
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """There will be no newer one."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def take(self) -> GraphDocument:
        """Wait for a newer one than was taken before.

        Raises:
            NvtopoError: there will be none.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._graph is not None or self._error is not None)
            graph, self._graph = self._graph, None
            if graph is not None:
                return graph
            assert self._error is not None
            raise self._error


def latest(url: str, token: Callable[[], str], lost: Callable[[str], None]) -> Latest:
    """Follow in a thread that ends with the process. ``lost`` hears why the connection is lost, whenever it is."""
    found = Latest()

    def run() -> None:
        try:
            for graph in graphs(url, token, lost, threading.Event().wait):
                found.put(graph)
        except BaseException as error:  # noqa: BLE001 - raised again by ``take``
            found.fail(error)

    threading.Thread(target=run, name="follow", daemon=True).start()
    return found


def graphs(
    url: str, token: Callable[[], str], lost: Callable[[str], None], wait: Callable[[float], object]
) -> Iterator[GraphDocument]:
    """Every graph, without end. ``wait`` sleeps that many seconds.

    Raises:
        NvtopoError: the first connection fails, or the aggregator refuses us.
    """
    backoff, state = Backoff(), State()
    while True:
        try:
            for message in _received(url, token(), state.last_id):
                backoff.reset()
                before, state = state, state.after(message, url)
                if state.graph is not None and state is not before:
                    yield state.graph
            reason = f"{url}: the connection ended"
        except ReadError as error:
            if state.graph is None or _final(error):
                raise
            reason = str(error)
            if isinstance(error, ParseError):
                state = state._replace(last_id="")
        lost(reason)
        wait(backoff.delay())


def _final(error: NvtopoError) -> bool:
    """Whether the aggregator's refusal will be the same in a minute."""
    return isinstance(error, Refused) and error.status in _NOT_BY_WAITING and error.status not in _SOON


def _received(url: str, token: str, last_id: str) -> Iterator[Message]:
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
    with opened(checked_url(url), token, headers, SILENCE_SECONDS) as answer:
        yield from messages(_lines(url, answer), last_id)


def _lines(url: str, answer: HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            line = answer.readline(MOST_BYTES + 1)
        except (OSError, HTTPException, ValueError) as error:
            raise ReadError(f"{url}: {getattr(error, 'strerror', None) or error}") from error
        if len(line) > MOST_BYTES:
            raise ParseError(f"{url}: expected lines of at most {MOST_BYTES >> 20} MiB, got more")
        if not line:
            return
        yield line
