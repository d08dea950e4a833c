"""Several clusters as one document: the JSON of ``nvtopo graph --cluster … --format json``."""

import msgspec

from nvtopo.exporters.document import GraphDocument
from nvtopo.model.records.record import Record


class ClusterEntry(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One cluster, as its aggregator answered."""

    server: str
    error: str | None
    """Why its graph is not there; null if it is."""
    graph: GraphDocument | None
    """Null if the aggregator did not answer: nothing is known of the cluster now."""
    stale: bool
    """Whether the graph is not there, or may be older than the cluster: its API server does not answer."""
    age_seconds: int | None
    """For how long it has not; 0 while the graph is followed, null where there is none."""


class ClustersDocument(Record, frozen=True, kw_only=True, omit_defaults=False):
    """All that were asked, by name and in the order in which they were given."""

    clusters: dict[str, ClusterEntry]


def pretty(document: ClustersDocument) -> str:
    """The document as JSON for people, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"
