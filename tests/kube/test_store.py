"""What every store promises, and what ``KubeStore`` does about an API server that misbehaves."""

import logging
import threading
from collections.abc import Callable

import pytest

from nvtopo.cluster.events import Applied, Deleted, Listed, Recorded, Unreadable
from nvtopo.cluster.records import ClaimRecord, IdentifierRecord
from nvtopo.errors import NotFound
from nvtopo.kube.client import Client
from nvtopo.kube.memory import MemoryStore
from nvtopo.kube.store import KubeStore, TopologyStore
from nvtopo.kube.v1alpha1_status import Condition, Status
from nvtopo.model.records.expected import Expectation, PcieExpectation
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.standing import Standing
from nvtopo.runtime.backoff import Backoff
from tests.kube.fake_api_server import FakeApiServer
from tests.kube.following import Following
from tests.kube.machines import hgx, small

SPEC = {"gpus": [{"index": 0, "uuid": "GPU-0"}]}
RECORDED = Status(
    domain="cluster.1",
    claims=(ClaimRecord(first_seen="2026-11-28T12:00:00Z", gpus=("GPU-0",), places=("chassis 1, tray 2, host 3",)),),
    identifiers=(IdentifierRecord(tier="rack", id="1820", number=16),),
)
BROKEN = {"gpus": [{"index": "zero", "uuid": "GPU-0"}]}


@pytest.fixture
def kube_store(client: Client) -> KubeStore:
    return KubeStore(client, backoff=lambda: Backoff(first_seconds=0.002, longest_seconds=0.02))


class Conformance:
    """The promises of ``TopologyStore``; subclasses say which store, and how an object is deleted in it."""

    @pytest.fixture
    def store(self) -> TopologyStore:
        raise NotImplementedError

    @pytest.fixture
    def delete(self) -> Callable[[str], object]:
        raise NotImplementedError

    def test_a_reader_first_gets_all_there_is(self, store: TopologyStore) -> None:
        store.apply("node-a", small())
        store.apply("node-b", hgx())
        with Following(store) as following:
            assert following.next() == Listed({"node-a": small(), "node-b": hgx()})

    def test_an_empty_store_lists_nothing(self, store: TopologyStore) -> None:
        with Following(store) as following:
            assert following.next() == Listed({})

    def test_writing_and_deleting_are_events(self, store: TopologyStore, delete: Callable[[str], object]) -> None:
        with Following(store) as following:
            following.next()
            store.apply("node-a", small("570"))
            assert following.next() == Applied("node-a", small("570"))
            store.apply("node-a", small("580"))
            assert following.next() == Applied("node-a", small("580"))
            delete("node-a")
            assert following.next() == Deleted("node-a")

    def test_who_writes_a_node_is_told_what_stands_for_it(self, store: TopologyStore) -> None:
        assert store.apply("node-a", small()) is None
        standing = Standing(learned=Expectation(gpus=8, pcie=PcieExpectation(width=16)))
        store.set_status("node-a", Status(gpus=1, expected=standing))
        assert store.apply("node-a", small()) == standing
        store.set_status("node-a", Status(gpus=1))
        assert store.apply("node-a", small()) is None

    def test_the_same_again_is_no_event(self, store: TopologyStore) -> None:
        store.apply("node-a", small())
        with Following(store) as following:
            following.next()
            store.apply("node-a", small())
            store.apply("node-b", small())
            assert following.next() == Applied("node-b", small())

    def test_a_status_is_no_event(self, store: TopologyStore) -> None:
        store.apply("node-a", small())
        with Following(store) as following:
            following.next()
            store.set_status("node-a", Status(conditions=(Condition(type="Ready", status="True"),)))
            store.apply("node-b", small())
            assert following.next() == Applied("node-b", small())

    def test_what_is_recorded_of_a_node_is_listed_with_it(self, store: TopologyStore) -> None:
        store.apply("node-a", small())
        store.set_status("node-a", RECORDED)
        with Following(store) as following:
            assert following.next() == Listed({"node-a": small()}, records={"node-a": RECORDED.record})

    def test_a_status_needs_its_object(self, store: TopologyStore) -> None:
        with pytest.raises(NotFound):
            store.set_status("node-a", Status())

    def test_a_status_does_not_touch_the_topology(self, store: TopologyStore) -> None:
        store.apply("node-a", hgx())
        store.set_status("node-a", Status(domain="cluster.1"))
        with Following(store) as following:
            assert following.next() == Listed({"node-a": hgx()})

    def test_every_reader_gets_every_event(self, store: TopologyStore) -> None:
        with Following(store) as one, Following(store) as other:
            one.next(), other.next()
            store.apply("node-a", small())
            assert one.next() == other.next() == Applied("node-a", small())

    def test_writers_do_not_get_in_each_others_way(self, store: TopologyStore) -> None:
        names = [f"node-{number}" for number in range(8)]
        writers = [threading.Thread(target=store.apply, args=(name, small(name))) for name in names]
        with Following(store) as following:
            for writer in writers:
                writer.start()
            inventory = following.until(lambda inventory: len(inventory.nodes) == len(names))
            for writer in writers:
                writer.join()
        assert dict(inventory.nodes) == {name: small(name) for name in names}

    def test_a_reader_that_should_not_start_does_not(self, store: TopologyStore) -> None:
        stop = threading.Event()
        stop.set()
        assert [event for event in store.events(stop) if not isinstance(event, Listed)] == []


class TestMemoryStore(Conformance):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def delete(self, store: MemoryStore) -> Callable[[str], object]:
        return store.delete

    def test_statuses_can_be_read_and_go_with_their_node(self, store: MemoryStore) -> None:
        store.apply("node-a", small())
        store.set_status("node-a", Status(domain="cluster.1"))
        assert store.statuses == {"node-a": Status(domain="cluster.1")}
        store.delete("node-a")
        assert store.statuses == {}


class TestKubeStore(Conformance):
    @pytest.fixture
    def store(self, kube_store: KubeStore, api_server: FakeApiServer) -> KubeStore:
        api_server.nodes = {name: f"uid-of-{name}" for name in ("node-a", "node-b", *(f"node-{n}" for n in range(8)))}
        return kube_store

    @pytest.fixture
    def delete(self, api_server: FakeApiServer) -> Callable[[str], object]:
        return api_server.delete

    def test_what_another_replica_records_is_an_event(self, store: KubeStore) -> None:
        store.apply("node-a", small())
        with Following(store) as following:
            following.next()
            store.set_status("node-a", RECORDED)
            assert following.next() == Recorded("node-a", RECORDED.record)

    def test_it_knows_which_status_is_there(self, store: KubeStore) -> None:
        store.apply("node-a", small())
        store.set_status("node-a", RECORDED)
        with Following(store) as following:
            following.next()
            assert store.has("node-a", RECORDED)
            assert not store.has("node-a", Status())
            store.set_status("node-a", Status(domain="cluster.1"))
            store.apply("node-b", small())
            assert following.next() == Recorded("node-a", Status().record)
            assert following.next() == Applied("node-b", small())
            assert store.has("node-a", Status(domain="cluster.1"))
            assert not store.has("node-b", Status(domain="cluster.1"))

    def test_it_knows_which_nodes_drift_by_their_status(self, store: KubeStore) -> None:
        drifts = Status(conditions=(Condition(type="Drift", status="True"),))
        for name, status in (("node-a", drifts), ("node-b", Status())):
            store.apply(name, small())
            store.set_status(name, status)
        with Following(store) as following:
            following.next()
            assert store.drifting == {"node-a"}
            store.set_status("node-a", RECORDED)
            assert following.next() == Recorded("node-a", RECORDED.record)
            assert store.drifting == frozenset()

    def test_the_object_belongs_to_its_node(self, store: KubeStore, api_server: FakeApiServer) -> None:
        store.apply("node-a", small())
        assert api_server.objects["node-a"]["owners"] == [
            {"apiVersion": "v1", "kind": "Node", "name": "node-a", "uid": "uid-of-node-a"}
        ]

    def test_the_nodes_uid_is_read_once(self, store: KubeStore, api_server: FakeApiServer) -> None:
        store.apply("node-a", small("570"))
        store.apply("node-a", small("580"))
        assert api_server.requests.count("node") == 1

    def test_a_node_made_anew_owns_the_object_made_anew(self, store: KubeStore, api_server: FakeApiServer) -> None:
        store.apply("node-a", small())
        api_server.nodes["node-a"] = "another-uid"
        api_server.delete("node-a")
        store.apply("node-a", small())
        assert api_server.objects["node-a"]["owners"][0]["uid"] == "another-uid"

    def test_without_a_node_nothing_is_written(self, store: KubeStore, api_server: FakeApiServer) -> None:
        with pytest.raises(NotFound):
            store.apply("elsewhere", small())
        assert api_server.objects == {}


class TestFollowing:
    """Paging, reconnecting, and all that can go wrong on the way."""

    def test_a_long_list_comes_in_pages(self, kube_store: KubeStore, api_server: FakeApiServer) -> None:
        api_server.page_size = 2
        for number in range(5):
            api_server.put(f"node-{number}", SPEC)
        with Following(kube_store) as following:
            assert len(following.next().nodes) == 5  # type: ignore[union-attr]
        assert api_server.requests.count("list") == 3

    def test_each_page_is_handed_out_while_the_list_goes_on(self, client: Client, api_server: FakeApiServer) -> None:
        api_server.page_size = 2
        for number in range(5):
            api_server.put(f"node-{number}", SPEC if number else BROKEN)
        pages: list[dict[str, NodeTopology]] = []
        with Following(KubeStore(client, coming=lambda nodes: pages.append(dict(nodes)))) as following:
            listed = following.next()
            assert isinstance(listed, Listed)
        assert [len(page) for page in pages] == [1, 2, 1]
        assert all(listed.nodes[name] is topology for page in pages for name, topology in page.items())

    def test_a_watch_that_ended_resumes_without_listing(self, kube_store: KubeStore, api_server: FakeApiServer) -> None:
        with Following(kube_store) as following:
            following.next()
            api_server.put("node-a", SPEC)
            assert isinstance(following.next(), Applied)
            api_server.end_watches()
            api_server.put("node-b", SPEC)
            event = following.next()
        assert isinstance(event, Applied)
        assert event.name == "node-b"
        assert api_server.requests.count("list") == 1

    def test_a_bookmark_moves_the_place(self, kube_store: KubeStore, api_server: FakeApiServer) -> None:
        with Following(kube_store) as following:
            following.next()
            api_server.await_requests("watch", 1)
            api_server.bookmark()
            api_server.put("node-a", SPEC)
            following.next()
            api_server.bookmark()
            api_server.put("node-b", SPEC)
            following.next()
            api_server.compact()
            api_server.end_watches()
            api_server.put("node-c", SPEC)
            following.next()
        assert api_server.requests.count("list") == 1

    def test_410_lists_again(self, kube_store: KubeStore, api_server: FakeApiServer) -> None:
        with Following(kube_store) as following:
            following.next()
            api_server.await_requests("watch", 1)
            api_server.refuse("watch", 500, times=3)
            api_server.end_watches()
            api_server.put("node-a", SPEC)
            api_server.delete("node-a")
            api_server.put("node-b", SPEC)
            api_server.compact()
            inventory = following.until(lambda inventory: "node-b" in inventory.nodes)
        assert list(inventory.nodes) == ["node-b"]

    def test_a_refusal_of_any_kind_is_tried_again(self, kube_store: KubeStore, api_server: FakeApiServer) -> None:
        for status in (500, 503, 403, 404, 504, 400, 302):
            api_server.refuse("list", status)
            api_server.refuse("watch", status)
        with Following(kube_store) as following:
            api_server.await_requests("watch", 8)
            api_server.put("node-a", SPEC)
            following.until(lambda inventory: "node-a" in inventory.nodes)

    def test_429_waits_as_long_as_the_server_asks(self, kube_store: KubeStore, api_server: FakeApiServer) -> None:
        waits: list[float] = []

        class Noting(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                waits.append(timeout or 0)
                return self.is_set()

        api_server.refuse("list", 429, headers={"Retry-After": "7"})
        stop = Noting()
        assert isinstance(next(kube_store.events(stop)), Listed)
        assert [wait for wait in waits if wait >= 7] != []

    def test_a_malformed_object_stays_alone(self, kube_store: KubeStore, api_server: FakeApiServer) -> None:
        api_server.put("node-a", BROKEN)
        api_server.put("node-b", SPEC)
        with Following(kube_store) as following:
            listed = following.next()
            assert isinstance(listed, Listed)
            assert list(listed.nodes) == ["node-b"]
            assert "$.spec.gpus[0].index" in listed.unreadable["node-a"]
            api_server.put("node-b", BROKEN)
            broken = following.next()
            assert isinstance(broken, Unreadable)
            assert broken.name == "node-b"
            api_server.put("node-b", SPEC)
            assert isinstance(following.next(), Applied)

    def test_an_object_without_metadata_does_not_end_the_reader(
        self, kube_store: KubeStore, api_server: FakeApiServer
    ) -> None:
        with Following(kube_store) as following:
            following.next()
            with api_server.changed:
                api_server._tell("ADDED", {"kind": "NodeTopology"})
            api_server.put("node-a", SPEC)
            following.until(lambda inventory: "node-a" in inventory.nodes)

    def test_an_api_server_that_was_away_is_followed_again(
        self, kube_store: KubeStore, api_server: FakeApiServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        with Following(kube_store) as following:
            following.next()
            api_server.await_requests("watch", 1)
            api_server.stop()
            api_server.put("node-a", SPEC)
            api_server.start()
            assert isinstance(following.next(), Applied)
        assert api_server.requests.count("list") == 1

    def test_what_fails_for_long_is_said_once(
        self, kube_store: KubeStore, api_server: FakeApiServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        api_server.refuse("list", 503, times=20)
        with Following(kube_store) as following:
            following.next()
            api_server.put("node-a", SPEC)
            following.next()
        assert [record.message for record in caplog.records if record.name == "nvtopo.kube.store"] == [
            "cannot follow NodeTopologies, trying on",
            "the API server answers again",
        ]

    def test_how_long_the_server_has_not_answered(self, client: Client, api_server: FakeApiServer) -> None:
        now = [1000.0]
        store = KubeStore(
            client, backoff=lambda: Backoff(first_seconds=0.002, longest_seconds=0.02), clock=lambda: now[0]
        )
        assert store.away_seconds == 0, "before it has listed"
        with Following(store) as following:
            following.next()
            api_server.await_requests("watch", 1)
            api_server.put("node-b", SPEC)
            following.next()
            now[0] = 1060
            assert store.away_seconds == 0, "a watch without news is followed"
            api_server.refuse("watch", 500, times=30)
            api_server.end_watches()
            api_server.await_requests("watch", 4)
            now[0] = 1100
            assert store.away_seconds == 40
            api_server.put("node-a", SPEC)
            following.next()
            assert store.away_seconds == 0

    def test_a_server_that_never_answered_is_away_since_the_start(
        self, client: Client, api_server: FakeApiServer
    ) -> None:
        now = [1000.0]
        store = KubeStore(
            client, backoff=lambda: Backoff(first_seconds=0.002, longest_seconds=0.02), clock=lambda: now[0]
        )
        api_server.refuse("list", 503, times=1_000)
        with Following(store):
            api_server.await_requests("list", 2)
            now[0] = 1040
            assert store.away_seconds == 40

    def test_a_server_that_ends_every_watch_at_once_is_not_hammered(
        self, client: Client, api_server: FakeApiServer
    ) -> None:
        waits: list[float] = []
        enough = threading.Event()

        class Counting(Backoff):
            def delay(self, at_least: float = 0.0) -> float:
                waits.append(at_least)
                if len(waits) == 5:
                    enough.set()
                return 0.001

        api_server.refuse("watch", 200, times=50)
        with Following(KubeStore(client, backoff=Counting)):
            assert enough.wait(5)

    def test_stopping_ends_a_reader_that_waits_to_try_again(self, client: Client, api_server: FakeApiServer) -> None:
        api_server.refuse("list", 500, times=100)
        with Following(KubeStore(client, backoff=lambda: Backoff(first_seconds=60, longest_seconds=60))):
            api_server.await_requests("list", 1)
