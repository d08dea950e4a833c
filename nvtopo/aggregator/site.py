"""What an aggregator says of its cluster beside the graph: its name, and how old what is known of it may be."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from nvtopo.sinks.metrics.series import Family, declared, gauge, one

INFO = gauge(
    "nvtopo_cluster_info",
    "What the cluster is called; the value is always 1.",
    ("cluster",),
    source="`--cluster-name`",
    absent="the operator did not name the cluster",
)
AWAY = gauge(
    "nvtopo_aggregator_api_server_away_seconds",
    "For how many seconds the API server has reported nothing about the NodeTopologies; 0 while they are watched.",
    source="the watch",
)
SERIES = declared(globals())


def _followed() -> float:
    return 0.0


class Site(NamedTuple):
    """One cluster, as its aggregator knows it."""

    name: str | None = None
    away_seconds: Callable[[], float] = _followed
    """How long the API server has not answered; 0 while it does."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Of an answer with the graph: ``Age`` (RFC 9111), where it may be older than the answer."""
        seconds = int(self.away_seconds())
        return {"Age": str(seconds)} if seconds else {}

    def families(self) -> Iterator[Family]:
        """A part of the metrics page."""
        info = Family(INFO)
        if self.name is not None:
            info.add(1, self.name)
        yield info
        yield one(AWAY, self.away_seconds())
