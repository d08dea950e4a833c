"""The thread that asks Prometheus for the load of nodes, which the cost of a placement may count."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from nvtopo.aggregator.looking import Looking
from nvtopo.errors import ParseError, ReadError
from nvtopo.placement.request import Load
from nvtopo.placement.term_wishes import missed
from nvtopo.sinks.metrics.series import Family, declared, gauge
from nvtopo.wire import prometheus, pull

LOOK_SECONDS: Final = 15.0
_MOST_WAITING: Final = 1e9

NODES = gauge(
    "nvtopo_aggregator_load_nodes",
    "Nodes whose load is known by the latest answer of Prometheus.",
    ("term",),
    source="`--queue-depth-query`, `--cache-hit-query`",
    absent="the query was not given, or was never answered",
)
AGE = gauge(
    "nvtopo_aggregator_load_age_seconds",
    "How long ago Prometheus answered, in seconds. A placement counts no load that is older than its freshSeconds.",
    ("term",),
    source="`--queue-depth-query`, `--cache-hit-query`",
    absent="the query was not given, or was never answered",
)
SERIES = declared(globals())


class Queries(NamedTuple):
    """What is asked, and whom. An empty query is not asked."""

    server: str
    queue_depth: str = ""
    """PromQL: requests that wait at each node."""
    cache_hit: str = ""
    """PromQL: the share of look-ups that each node's cache answers, from 0 to 1."""
    label: str = "node"
    """The label of the answer that names the node."""
    token: Callable[[], str] = lambda: ""


class _Told(NamedTuple):
    values: Mapping[str, int]
    """Node → requests that wait, or misses of a million."""
    at: float


class NodeLoads(Looking):
    """Asks while ``run`` runs. What it was told last counts for as long as the reader takes it for fresh."""

    def __init__(
        self,
        queries: Queries,
        *,
        get: Callable[[str, str], bytes] = lambda url, token: pull.get(url, token, most_bytes=prometheus.MOST_BYTES),
        clock: Callable[[], float] = time.monotonic,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """``get`` is the answer of a URL to a bearer token."""
        super().__init__("the load of nodes is not known", look_seconds)
        self._queries = queries
        self._get, self._clock = get, clock
        self._lock = threading.Lock()
        self._told: dict[str, _Told] = {}

    def known(self, within_seconds: float) -> Mapping[str, Load]:
        """Node → what was told of it within so many seconds. From any thread."""
        queue, misses = self._fresh("queue", within_seconds), self._fresh("cache", within_seconds)
        return {node: Load(queue.get(node), misses.get(node)) for node in queue.keys() | misses.keys()}

    def look(self) -> str:
        """Ask each query; why some of it is not known."""
        asked = (("queue", self._queries.queue_depth, _waiting), ("cache", self._queries.cache_hit, _misses))
        reasons = [self._ask(term, query, value) for term, query, value in asked if query]
        return "; ".join(reason for reason in reasons if reason)

    def families(self) -> Iterator[Family]:
        """A part of the metrics page."""
        nodes, age = Family(NODES), Family(AGE)
        with self._lock:
            told = dict(self._told)
        for term, one in told.items():
            nodes.add(len(one.values), term)
            age.add(self._clock() - one.at, term)
        yield nodes
        yield age

    def _ask(self, term: str, query: str, value: Callable[[float], int | None]) -> str:
        began = self._clock()
        try:
            content = self._get(prometheus.query_url(self._queries.server, query), self._queries.token())
            found = prometheus.vector(content, self._queries.label, self._queries.server)
        except (ReadError, ParseError) as error:
            return f"{term}: {error}"
        read = {node: value(number) for node, number in found.values.items()}
        values = {node: one for node, one in read.items() if one is not None}
        with self._lock:
            self._told[term] = _Told(values, began)
        unclear = found.unclear + len(read) - len(values)
        return f"{term}: {unclear} series are of no one node, or no value of it" if unclear else ""

    def _fresh(self, term: str, seconds: float) -> Mapping[str, int]:
        with self._lock:
            told = self._told.get(term)
        return told.values if told is not None and self._clock() - told.at <= seconds else {}


def _waiting(number: float) -> int | None:
    return round(number) if 0 <= number <= _MOST_WAITING else None


def _misses(number: float) -> int | None:
    return missed(number) if 0 <= number <= 1 else None
