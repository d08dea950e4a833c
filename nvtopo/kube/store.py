"""Where NodeTopologies are kept: what the agent writes to and the aggregator reads from.

``KubeStore`` is the API server; ``nvtopo.kube.memory.MemoryStore`` is one process, for ``nvtopo standalone`` and tests.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from nvtopo.cluster.events import Event
from nvtopo.errors import ApiError, NvtopoError, ParseError
from nvtopo.kube import v1alpha1, v1alpha1_status
from nvtopo.kube.client import Client
from nvtopo.kube.reader import Coming, Reader
from nvtopo.kube.refusal import Throttled
from nvtopo.kube.topology_writer import KubeTopologyWriter, TopologyWriter
from nvtopo.kube.v1alpha1_status import Status
from nvtopo.runtime.backoff import Backoff

logger = logging.getLogger(__name__)

AGGREGATOR: Final = "nvtopo-aggregator"
"""Field manager of ``status``."""

#: A write under way when leadership is lost has ended, or was given up, before another replica may lead: a leader that
#: can't renew its Lease stops five seconds earlier (``election.Timing``).
_STATUS_SECONDS: Final = 5.0
#: Refusals after which the place in the history is worth nothing: a resource version that is malformed (400), too old
#: (410) or of another life of etcd (504 "too large"), and a collection that is not there (404). After all others the
#: watch resumes.
_LIST_AGAIN: Final = (400, 404, 410, 504)
#: A watch that ends sooner and in silence is a failure (client-go calls it a "very short watch").
_SHORTEST_WATCH_SECONDS: Final = 1.0


class TopologyStore(TopologyWriter, Protocol):
    """One NodeTopology for each node; ``spec`` written by its agent alone, ``status`` by the aggregator alone."""

    def events(self, stop: threading.Event) -> Iterator[Event]:
        """``Listed`` first and after every loss of the place in the history, and between them what happens.

        Never raises for what the store does: it goes on until ``stop`` is set, and then ends at once.
        """

    def set_status(self, name: str, status: Status) -> None:
        """Writes what the aggregator concluded; no event.

        Raises:
            NotFound: the node has no topology.
        """


class KubeStore(KubeTopologyWriter):
    """The API server as a store. Usable from several threads at once."""

    def __init__(
        self,
        client: Client,
        *,
        backoff: Callable[[], Backoff] = Backoff,
        clock: Callable[[], float] = time.monotonic,
        coming: Coming = lambda _nodes: None,
    ) -> None:
        """``backoff`` makes one for each reader; ``clock`` is only ever compared with itself.

        ``coming`` is given the nodes of each page of a list as it is read, before ``Listed`` has all of them.
        """
        super().__init__(client)
        self._backoff = backoff
        self._clock = clock
        self._coming = coming
        self._reader: Reader | None = None
        self._heard: float | None = None
        self._away = False

    @property
    def away_seconds(self) -> float:
        """How long ``events`` has not been told anything by the API server; 0 while it follows.

        While nothing has been heard at all it counts from when ``events`` began.
        """
        heard = self._heard
        return self._clock() - heard if self._away and heard is not None else 0.0

    @property
    def foreign(self) -> frozenset[str] | None:
        """The objects that do not go with the Node of their name alone; None before ``events`` has listed."""
        return None if self._reader is None else self._reader.foreign

    @property
    def drifting(self) -> frozenset[str]:
        """The nodes whose status says that they drift, as far as ``events`` has told."""
        return frozenset() if self._reader is None else frozenset(self._reader.drifting)

    def has(self, name: str, status: Status) -> bool:
        """Whether the API server has this very status, as far as ``events`` has told."""
        return self._reader is not None and self._reader.statuses.get(name) == v1alpha1_status.digest(status)

    def set_status(self, name: str, status: Status) -> None:
        """Server-side apply to the ``status`` subresource.

        Raises:
            NotFound: the node has no topology.
        """
        document = v1alpha1_status.status_document(name, status)
        path = f"{v1alpha1.path(name)}/status"
        self._client.apply(path, document, manager=AGGREGATOR, seconds=_STATUS_SECONDS)

    def events(self, stop: threading.Event) -> Iterator[Event]:
        """List, watch, resume; see ``TopologyStore``. What fails is tried again for as long as it takes."""
        reader, attempts = Reader(self._client), _Attempts(self._backoff())
        self._reader = reader
        self._heard = self._clock()
        while not stop.is_set():
            try:
                if reader.lost:
                    listed = reader.list(self._coming)
                    self._follows()
                    yield listed
                for event in self._watched(reader, stop):
                    attempts.worked()
                    self._follows()
                    if event is not None:
                        yield event
            except (ApiError, ParseError) as error:
                if isinstance(error, ParseError) or error.status in _LIST_AGAIN:
                    reader.lose()
                self._away = True
                stop.wait(attempts.failed(error))

    def _follows(self) -> None:
        self._heard, self._away = self._clock(), False

    def _watched(self, reader: Reader, stop: threading.Event) -> Iterator[Event | None]:
        """One watch; None is a sign of life without news. Silent to its end is one, unless the end came at once."""
        started, silent = self._clock(), True
        for event in reader.watch(stop):
            silent = False
            yield event
        if silent and not stop.is_set() and self._clock() - started < _SHORTEST_WATCH_SECONDS:
            raise ApiError(f"watch {v1alpha1.COLLECTION}: the server ended it at once")
        yield None


class _Attempts:
    """Tells success from failure in a row: when to try again, and one log line for each change."""

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._status: int | None = None
        """HTTP status of the failure last logged, 0 without an answer; None while all is well."""

    def worked(self) -> None:
        self._backoff.reset()
        if self._status is not None:
            self._status = None
            logger.warning("the API server answers again", extra={"collection": v1alpha1.COLLECTION})

    def failed(self, error: NvtopoError) -> float:
        """Seconds to wait before the next attempt."""
        status = error.status if isinstance(error, ApiError) else 0
        if status != self._status:
            self._status = status
            logger.warning("cannot follow NodeTopologies, trying on", extra={"status": status, "reason": str(error)})
        return self._backoff.delay(error.retry_after if isinstance(error, Throttled) else 0.0)
