"""Following the Nodes' labels: metadata alone, known labels alone, and a refusal that is said once."""

import logging
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from nvtopo.errors import ParseError
from nvtopo.fabrics import labels
from nvtopo.kube.client import Client
from nvtopo.kube.following import Changed, Collection, Following, Listed, Read, Words
from nvtopo.kube.node_labels import LabelEvent, NodeLabels
from nvtopo.kube.stream import WatchEvent
from tests.agent.test_agent import wait_until
from tests.kube.fake_api_server import FakeApiServer

pytestmark = pytest.mark.slow

ZONE = "topology.kubernetes.io/zone"


@contextmanager
def following(client: Client, forbidden_seconds: float = 300) -> Iterator["queue.SimpleQueue[LabelEvent]"]:
    source = NodeLabels(client, labels.knows, forbidden_seconds=forbidden_seconds)
    stop, events = threading.Event(), queue.SimpleQueue[LabelEvent]()

    def run() -> None:
        for event in source.events(stop):
            events.put(event)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield events
    finally:
        stop.set()
        thread.join(5)
        assert not thread.is_alive()


def test_labels_that_are_known_are_listed_and_followed(api_server: FakeApiServer, client: Client) -> None:
    api_server.label("a", {ZONE: "z1", "secret.example.com/cost-centre": "7"})
    with following(client) as events:
        assert events.get(timeout=5) == Listed({"a": {ZONE: "z1"}})
        api_server.label("b", {"fabric.topograph.run/tier-0": "leaf-1"})
        assert events.get(timeout=5) == Changed("b", {"fabric.topograph.run/tier-0": "leaf-1"})
        api_server.delete("a")
        assert events.get(timeout=5) == Changed("a", None)
    assert all("as=PartialObjectMetadata" in (accept or "") for accept in api_server.accepts)


def test_a_watch_that_is_too_old_lists_again(api_server: FakeApiServer, client: Client) -> None:
    api_server.label("a", {ZONE: "z1"})
    with following(client) as events:
        assert events.get(timeout=5) == Listed({"a": {ZONE: "z1"}})
        api_server.await_requests("watch", 1)
        api_server.refuse("watch", 410)
        api_server.label("a", {ZONE: "z2"})
        assert events.get(timeout=5) == Changed("a", {ZONE: "z2"})
        api_server.end_watches()
        assert events.get(timeout=10) == Listed({"a": {ZONE: "z2"}})


def test_without_the_right_it_says_so_once_and_asks_seldom(
    api_server: FakeApiServer, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    api_server.label("a", {ZONE: "z1"})
    api_server.refuse("list", 403, times=2)
    with caplog.at_level(logging.WARNING), following(client, forbidden_seconds=0.05) as events:
        assert events.get(timeout=5) == Listed({"a": {ZONE: "z1"}})
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "no right to list and watch Nodes: their labels say nothing (daemonset/components/node-labels)",
        "the labels of the Nodes can be read again",
    ]
    api_server.refuse("list", 403, times=2)
    asked = api_server.requests.count("list")
    with following(client) as events:
        api_server.await_requests("list", asked + 1)
        with pytest.raises(queue.Empty):
            events.get(timeout=0.2)
        assert api_server.requests.count("list") == asked + 1


def test_a_node_whose_metadata_is_no_metadata_costs_its_own_labels_and_is_said_once(
    api_server: FakeApiServer, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    api_server.label("a", {ZONE: "z1"})
    with api_server.changed:
        api_server.objects["odd"] = {"metadata": {"name": "odd", "labels": ["no", "mapping"]}}
    with caplog.at_level(logging.WARNING), following(client) as events:
        assert events.get(timeout=5) == Listed({"a": {ZONE: "z1"}})
        api_server.await_requests("watch", 1)
        api_server.refuse("watch", 410)
        api_server.label("a", {ZONE: "z2"})
        assert events.get(timeout=5) == Changed("a", {ZONE: "z2"})
        api_server.end_watches()
        assert events.get(timeout=10) == Listed({"a": {ZONE: "z2"}})
    assert [record.getMessage() for record in caplog.records].count("a Node can't be read, it is left out") == 1


def test_a_watch_goes_on_from_a_bookmark_that_has_nothing_but_a_version(
    api_server: FakeApiServer, client: Client
) -> None:
    stop = threading.Event()
    collection = Collection("/api/v1/nodes", refuse_bookmarks, Words("nodes", "a node", "no right"))
    places = queue.SimpleQueue[str]()

    class Watched(Client):
        def watch(self, path: str, resource_version: str, stop: threading.Event, **how: Any) -> Iterator[WatchEvent]:
            places.put(resource_version)
            return super().watch(path, resource_version, stop, **how)

    followed = Following(Watched(client._session.connection), collection)
    thread = threading.Thread(target=lambda: list(followed.events(stop)))
    thread.start()
    try:
        listed = int(places.get(timeout=5))
        api_server.bookmark()

        seen = set[int]()

        def goes_on() -> bool:
            api_server.end_watches()  # again, if it was not open yet
            if not places.empty():
                seen.add(int(places.get()))
            return listed + 10 in seen

        assert wait_until(goes_on)
    finally:
        stop.set()
        thread.join(5)
    assert not thread.is_alive()


def refuse_bookmarks(item: msgspec.Raw) -> Read[str]:
    raise ParseError(f"expected an object, got a bookmark of {memoryview(item).nbytes} bytes")
