"""What ``nvtopo bundle`` gathers, from each kind of place. A part that can't be had is named, and the others stand."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from nvtopo import __version__
from nvtopo.cli import cluster_source
from nvtopo.errors import NvtopoError, ReadError, UsageError
from nvtopo.model.formats.near import hint
from nvtopo.wire.documents import ANY

if TYPE_CHECKING:
    from nvtopo.cli.cluster_source import ClusterSource
    from nvtopo.kube.client import Client
    from nvtopo.model.records.node import NodeTopology
    from nvtopo.model.records.snapshot import Snapshot
    from nvtopo.reports.bundle import Contents

_MOST_EVENTS = 5000
_OURS = "nvtopo.io/"


class Gathered:
    """Documents, nodes, and what could not be had."""

    def __init__(self, wanted: tuple[str, ...] = ()) -> None:
        self._wanted = frozenset(wanted)
        self.documents: dict[str, Any] = {
            "versions.json": {
                "nvtopo": __version__,
                "python": platform.python_version(),
                "machine": platform.machine(),
                "kernel": platform.release(),
            }
        }
        self.nodes: dict[str, Any] = {}
        self.names: set[str] = set()
        self.problems: list[str] = []

    def wants(self, node: str) -> bool:
        """Whether this node was named, or none was."""
        return not self._wanted or node in self._wanted

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A part that may fail."""
        try:
            yield
        except NvtopoError as error:
            self.problems.append(f"{name}: {error}")

    def add(self, name: str, content: bytes) -> None:
        """One document, as JSON."""
        self.documents[name] = ANY.read(content, name)

    def contents(self) -> "Contents":
        """All of it.

        Raises:
            UsageError: a node that was named is nowhere.
            ReadError: nothing at all could be had.
        """
        from nvtopo.reports.bundle import Contents

        unknown = sorted(self._wanted - self.nodes.keys() - self.names)
        if unknown:
            near = hint(unknown[0], {*self.nodes, *self.names})
            raise UsageError(f"bundle: no such node: {', '.join(unknown)}{near}")
        if self.problems and not self.nodes and len(self.documents) == 1:
            raise ReadError(self.problems[0])
        return Contents(self.documents, self.nodes, self.names, self.problems)


def of_this_node(root: str, nvml: str | None, node_name: str | None) -> Gathered:
    """The capture of this node."""
    from nvtopo.cli.machine import begin

    gathered = Gathered()
    snapshot = begin(root, nvml, node_name, everything=True)()
    name = snapshot.host.name if snapshot.host is not None else "node"
    gathered.nodes[name] = msgspec.to_builtins(snapshot)
    return gathered


def of_files(folder: Path, wanted: tuple[str, ...]) -> Gathered:
    """The graph and the nodes of a folder or a file."""
    from nvtopo.aggregator import fleet
    from nvtopo.cluster.graph import build
    from nvtopo.cluster.inventory import Inventory, fold
    from nvtopo.exporters import document

    gathered = Gathered(wanted)

    def see(name: str, node: "NodeTopology", snapshot: "Snapshot | None") -> None:
        gathered.names.add(name)
        if gathered.wants(name):
            gathered.nodes[name] = _resource(name, node) if snapshot is None else msgspec.to_builtins(snapshot)

    found = fleet.read(folder, see)
    gathered.names |= found.listed.unreadable.keys()
    gathered.problems += [f"{name}: {reason}" for name, reason in found.listed.unreadable.items()]
    graph = build(fold(Inventory(), found.listed), None, found.readings)
    gathered.add("graph.json", document.encode(document.of(graph)))
    return gathered


def _resource(name: str, node: "NodeTopology") -> Any:
    from nvtopo.kube.v1alpha1 import spec_document

    return ANY.read(spec_document(name, node, ""))


def of_aggregator(source: "ClusterSource", wanted: tuple[str, ...]) -> Gathered:
    """Graph and history, as an aggregator serves them."""
    gathered = Gathered(wanted)
    with gathered.part("graph"):
        gathered.add("graph.json", cluster_source.get(source, "/v1/graph")[1])
        gathered.names |= set(gathered.documents["graph.json"].get("nodes", {}))
    paths = [f"/v1/history?node={quote(name, safe='')}" for name in wanted] or ["/v1/history"]
    for number, path in enumerate(paths):
        with gathered.part("history"):
            gathered.add(f"history-{number}.json", cluster_source.get(source, path)[1])
    if "graph.json" not in gathered.documents:
        gathered.names |= set(wanted)
    return gathered


def of_cluster(kubeconfig: Path | None, wanted: tuple[str, ...]) -> Gathered:
    """Objects, Events and versions of the API server, and graph and history as they follow from them."""
    from nvtopo.kube.client import connect

    with connect(kubeconfig) as client:
        return of_client(client, wanted)


def of_client(client: "Client", wanted: tuple[str, ...]) -> Gathered:
    """As ``of_cluster``, by a client."""
    from nvtopo.cluster.graph import build
    from nvtopo.cluster.inventory import Inventory, fold
    from nvtopo.exporters import document, history_document
    from nvtopo.kube import events, v1alpha1
    from nvtopo.kube.reader import Reader

    gathered = Gathered(wanted)
    with gathered.part("version"):
        gathered.add("kubernetes.json", client.get("/version"))
    with gathered.part("objects"):
        for page in client.pages(v1alpha1.COLLECTION):
            _take(gathered, [ANY.read(bytes(item)) for item in page.items])
    with gathered.part("graph"):
        listed = Reader(client).list()
        gathered.add("graph.json", document.encode(document.of(build(fold(Inventory(), listed)))))
        kept = {name: entries for name, entries in listed.histories.items() if gathered.wants(name)}
        gathered.add("history.json", history_document.encode(history_document.of(kept)))
    with gathered.part("events"):
        pages = client.pages(events.COLLECTION)
        ours = (event for page in pages for item in page.items if _is_ours(event := ANY.read(bytes(item)), gathered))
        gathered.documents["events.json"] = [event for _, event in zip(range(_MOST_EVENTS), ours, strict=False)]
    return gathered


def _take(gathered: Gathered, objects: list[Any]) -> None:
    for one in objects:
        name = one.get("metadata", {}).get("name") if isinstance(one, dict) else None
        if isinstance(name, str) and name:
            gathered.names.add(name)
            if gathered.wants(name):
                gathered.nodes[name] = {"apiVersion": "nvtopo.io/v1alpha1", "kind": "NodeTopology", **one}


def _is_ours(event: Any, gathered: Gathered) -> bool:
    if not isinstance(event, dict) or not str(event.get("reportingController", "")).startswith(_OURS):
        return False
    about = event.get("regarding")
    return isinstance(about, dict) and gathered.wants(str(about.get("name", "")))
