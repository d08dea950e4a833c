"""Kubernetes Events (events.k8s.io/v1) about a Node: what is sent to create one, and to say that it happened again.

The API server takes Events about what has no namespace in the namespace ``default`` only, and after its creation
nothing of an Event changes but its series.
"""

import zlib
from datetime import UTC, datetime
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec

from nvtopo.kube import v1alpha1
from nvtopo.model.changes.node_events import NodeEvent

NAMESPACE: Final = "default"
COLLECTION: Final = f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events"
CONTROLLER: Final = "nvtopo.io/agent"
AGGREGATOR: Final = "nvtopo.io/aggregator"
#: ``action`` must be there: what was done when it happened.
_ACTION: Final = {CONTROLLER: "Observe", AGGREGATOR: "Compare"}
_LONGEST_INSTANCE: Final = 128
_LONGEST_PREFIX: Final = 220


class Occurrence(NamedTuple):
    """A node_event, how often so far, and from when to when."""

    node: str
    """The Node that it is about."""
    node_event: NodeEvent
    first: datetime
    last: datetime
    times: int = 1


class Reporter(NamedTuple):
    """Who reports an Event."""

    instance: str
    """The agent's node, or the aggregator's replica."""
    controller: str = CONTROLLER


def name_of(occurrence: Occurrence) -> str:
    """Its own for each moment and what happened then, and the same whenever it is asked for."""
    node_event = occurrence.node_event
    what = zlib.crc32(f"{node_event.reason} {node_event.note}".encode())
    return f"{occurrence.node[:_LONGEST_PREFIX]}.{int(occurrence.first.timestamp() * 1_000_000):x}.{what:08x}"


def path(name: str) -> str:
    """The Event's path at the API server."""
    return f"{COLLECTION}/{quote(name, safe='')}"


def document(reporter: Reporter, node_uid: str, occurrence: Occurrence) -> bytes:
    """A new Event about its Node; ``related`` is the NodeTopology that has the facts."""
    node, node_event = occurrence.node, occurrence.node_event
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name_of(occurrence), "namespace": NAMESPACE},
        "regarding": {"apiVersion": "v1", "kind": "Node", "name": node, "uid": node_uid},
        "related": {"apiVersion": v1alpha1.API_VERSION, "kind": v1alpha1.KIND, "name": node},
        "type": node_event.type,
        "reason": node_event.reason,
        "note": node_event.note,
        "action": _ACTION[reporter.controller],
        "eventTime": _time(occurrence.first),
        "reportingController": reporter.controller,
        "reportingInstance": reporter.instance[:_LONGEST_INSTANCE],
    }
    if occurrence.times > 1:
        event["series"] = _series(occurrence)
    return msgspec.json.encode(event)


def again(occurrence: Occurrence) -> bytes:
    """A merge patch: it is a series now, or a longer one."""
    return msgspec.json.encode({"series": _series(occurrence)})


def _series(occurrence: Occurrence) -> dict[str, object]:
    return {"count": occurrence.times, "lastObservedTime": _time(occurrence.last)}


def _time(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
