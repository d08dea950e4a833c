"""Topology in, slices out: what is written to an API server, and what follows from its answers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import msgspec
import pytest
from msgspec.structs import replace

from nvtopo.dra import removal
from nvtopo.dra.claims import devices_of
from nvtopo.dra.health_board import HealthBoard
from nvtopo.dra.messages import Claim, Prepared
from nvtopo.dra.publish_policy import PublishPolicy, Wait
from nvtopo.dra.publisher import Publisher
from nvtopo.errors import ApiError, Conflict, NotFound
from nvtopo.kube import own_slices
from nvtopo.kube.client import Client, ListMetadata, ListPage
from nvtopo.kube.following import Changed, Listed
from nvtopo.kube.own_slices import Present
from nvtopo.kube.resource_slices import COLLECTION
from nvtopo.model.records.node import NodeTopology
from nvtopo.runtime.backoff import Backoff
from tests.exporters.test_shadows import machine

NODE = "node-1"
SLICES = tuple(f"{NODE}-{kind}.topo.nvtopo.io" for kind in ("gpus", "nics", "node"))
Json = dict[str, Any]


class FakeServer:
    """Objects by path, with resource versions and the fields that a real one adds."""

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {f"/api/v1/nodes/{NODE}": {"metadata": {"name": NODE, "uid": "uid-1"}}}
        self.refusals: list[ApiError] = []
        self.wrote: list[str] = []
        self.version = 0

    def get(self, path: str, *, seconds: float = 0) -> bytes:
        del seconds
        if path not in self.objects:
            raise NotFound(path, status=404)
        return msgspec.json.encode(self.objects[path])

    def create(self, path: str, document: bytes) -> bytes:
        name = msgspec.json.decode(document)["metadata"]["name"]
        if f"{path}/{name}" in self.objects:
            raise Conflict(name, status=409)
        return self._put(f"{path}/{name}", document)

    def replace(self, path: str, document: bytes) -> bytes:
        if msgspec.json.decode(document)["metadata"]["resourceVersion"] != self.version_of(path):
            raise Conflict(path, status=409)
        return self._put(path, document)

    def delete(self, path: str) -> None:
        if path not in self.objects:
            raise NotFound(path, status=404)
        self.wrote.append(path.rpartition("/")[2])
        del self.objects[path]

    def pages(self, path: str, *, fields: str = "") -> Iterator[ListPage]:
        assert fields.startswith("spec.driver=topo.nvtopo.io")
        found = [one for at, one in self.objects.items() if at.startswith(f"{path}/")]
        yield ListPage(ListMetadata(), [msgspec.Raw(msgspec.json.encode(one)) for one in found])

    def version_of(self, path: str) -> str:
        return str(self.objects[path]["metadata"]["resourceVersion"])

    def slice(self, name: str) -> Json:
        return self.objects[f"{COLLECTION}/{name}"]

    def present(self) -> dict[str, Present]:
        """As a watch would show them."""
        items = {at: one for at, one in self.objects.items() if at.startswith(COLLECTION)}
        read = [own_slices.read(msgspec.Raw(msgspec.json.encode(one))) for one in items.values()]
        return {one.name: one.value for one in read}

    def _put(self, path: str, document: bytes) -> bytes:
        if self.refusals:
            raise self.refusals.pop(0)
        self.version += 1
        found = msgspec.json.decode(document)
        found["metadata"] |= {"resourceVersion": str(self.version), "uid": "u"}
        for device in found["spec"]["devices"]:
            for taint in device.get("taints", ()):
                taint["timeAdded"] = f"2026-01-01T00:00:{self.version:02}Z"
        self.objects[path] = found
        self.wrote.append(path.rpartition("/")[2])
        return msgspec.json.encode(found)


class Node:
    """A publisher, its server, and a clock that stands still."""

    def __init__(self) -> None:
        self.server = FakeServer()
        self.now = 0.0
        self.board = HealthBoard()
        self.policy = PublishPolicy(Backoff(1.0, 60.0, lambda: 1.0))
        client = cast("Client", self.server)
        self.publisher = Publisher(client, NODE, self.board, policy=self.policy, clock=lambda: self.now)

    def is_read(self, topology: NodeTopology | None) -> None:
        """The NodeTopology is like this from now on."""
        self.publisher.topology(topology)

    def settle(self, seconds: float = 2.0) -> list[str]:
        """What is written once the watch has shown what stands, so much later."""
        self.now += seconds
        self.policy.stand(self.server.present())
        self.server.wrote.clear()
        while self._step():
            pass
        return list(self.server.wrote)

    def _step(self) -> bool:
        action = self.policy.next(self.now)
        if isinstance(action, Wait):
            return False
        self.publisher._do(action, self.publisher._documents.get(action.name))
        return True


@pytest.fixture(name="node")
def _node() -> Node:
    made = Node()
    made.publisher.registered(True, "")  # noqa: FBT003 - as the kubelet says it
    made.is_read(machine("h100-sxm-8gpu-8cx7"))
    return made


def ill(node: NodeTopology) -> NodeTopology:
    return replace(node, gpus=(replace(node.gpus[0], recovery_action="gpu-reset"), *node.gpus[1:]))


def test_all_slices_are_written_once_and_go_with_the_node(node: Node) -> None:
    assert node.settle() == list(SLICES)
    assert node.settle() == []
    written = node.server.slice(SLICES[0])
    assert written["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Node", "name": NODE, "uid": "uid-1"}
    ]
    assert written["spec"]["pool"] == {"name": f"{NODE}/gpus", "generation": 1, "resourceSliceCount": 1}


def test_only_what_changed_is_written_in_one_step_as_the_next_generation(node: Node) -> None:
    node.settle()
    node.is_read(ill(machine("h100-sxm-8gpu-8cx7")))
    assert node.settle() == [SLICES[0], SLICES[2]], "the GPU, and the node that is not ready by it"
    spec = node.server.slice(SLICES[0])["spec"]
    assert spec["pool"]["generation"] == 2
    (taint,) = spec["devices"][0]["taints"]
    assert (taint["key"], taint["value"]) == ("topo.nvtopo.io/degraded", "gpu-recovery")
    assert node.settle() == [], "what the API server adds is no difference"


def test_what_stands_from_before_is_not_written_again(node: Node) -> None:
    node.settle()
    again = Node()
    again.server = node.server
    again.publisher = Publisher(
        cast("Client", node.server), NODE, again.board, policy=again.policy, clock=lambda: again.now
    )
    again.publisher.registered(True, "")  # noqa: FBT003 - as the kubelet says it
    again.is_read(machine("h100-sxm-8gpu-8cx7"))
    assert again.settle() == []


def test_a_node_without_gpus_has_no_slice_any_more(node: Node) -> None:
    node.settle()
    node.is_read(machine("laptop-no-gpu"))
    assert set(node.settle()) == set(SLICES)
    assert not node.server.present()


def test_a_conflict_is_tried_again_later(node: Node) -> None:
    node.server.refusals = [Conflict("stale", status=409)]
    assert node.settle() == []
    assert node.settle(0.5) == []
    assert node.settle(2.0) == list(SLICES)


def test_a_node_that_was_made_anew_owns_its_slices(node: Node) -> None:
    node.settle()
    node.server.objects = {f"/api/v1/nodes/{NODE}": {"metadata": {"name": NODE, "uid": "uid-2"}}}
    assert node.settle() == list(SLICES)
    assert node.server.slice(SLICES[0])["metadata"]["ownerReferences"][0]["uid"] == "uid-2"


def test_the_health_of_each_device_is_told_with_the_links_that_are_down(node: Node) -> None:
    node.is_read(machine("h100-one-link-down"))
    devices = node.board.now.devices
    assert devices is not None
    sick = [one for one in devices if one.state != "healthy"]
    assert [(one.pool, one.device, one.state, one.words) for one in sick] == [
        (f"{NODE}/gpus", "gpu-0000-3b-00-0", "unhealthy", "GPU2 has 17 of 18 NVLinks; down: 7"),
        (f"{NODE}/node", "node", "unhealthy", "GPU2 has 17 of 18 NVLinks"),
    ]
    node.is_read(None)
    assert node.board.now.devices is None


def test_links_that_train_make_health_unknown(node: Node) -> None:
    node.is_read(machine("h100-links-training"))
    assert {one.state for one in node.board.now.devices or () if one.device.startswith("gpu")} == {"unknown"}


class Script:
    """Events of something followed."""

    def __init__(self, *events: Listed[Any] | Changed[Any]) -> None:
        self._events = events

    def events(self, stop: threading.Event) -> Iterator[Listed[Any] | Changed[Any]]:
        yield from self._events
        stop.wait(60)


@contextmanager
def running(node: Node, stop: threading.Event, *events: Listed[Any] | Changed[Any]) -> Iterator[None]:
    """All three loops, with these events of the node's topology."""
    publisher = node.publisher
    threads = [
        threading.Thread(target=publisher.follow_topology, args=(Script(*events), stop)),
        threading.Thread(target=publisher.follow_slices, args=(Script(Listed(node.server.present())), stop)),
        threading.Thread(target=publisher.run, args=(stop,)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        publisher.wake()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)


def test_the_loops_write_what_they_hear() -> None:
    made = Node()
    done = threading.Event()
    written = made.server.create

    def create(path: str, document: bytes) -> bytes:
        answer = written(path, document)
        if len(made.server.wrote) == len(SLICES):
            done.set()
        return answer

    made.server.create = create  # type: ignore[method-assign]
    topology = machine("h100-sxm-8gpu-8cx7")
    with running(made, threading.Event(), Listed({"other": topology}), Changed(NODE, topology)):
        made.publisher.registered(True, "")  # noqa: FBT003 - as the kubelet says it
        assert done.wait(60)
    assert made.server.wrote == list(SLICES)


def test_a_claim_s_devices_are_those_of_our_driver() -> None:
    server = FakeServer()
    results = [
        {"request": "g0", "driver": "gpu.nvidia.com", "pool": "n", "device": "gpu-0"},
        {"request": "t0/near", "driver": "topo.nvtopo.io", "pool": "node-1/gpus", "device": "gpu-0000-1b-00-0"},
    ]
    path = "/apis/resource.k8s.io/v1/namespaces/team/resourceclaims/one"
    server.objects[path] = {"metadata": {"uid": "uid-1"}, "status": {"allocation": {"devices": {"results": results}}}}
    client = cast("Client", server)
    expected = (Prepared("t0", "node-1/gpus", "gpu-0000-1b-00-0"),)
    assert devices_of(client, "topo.nvtopo.io", Claim("team", "uid-1", "one")) == expected
    assert devices_of(client, "topo.nvtopo.io", Claim("team", "uid-2", "one")) == (), "another claim of that name"
    assert devices_of(client, "topo.nvtopo.io", Claim("team", "uid-1", "two")) == (), "it can't be read: pods start"


def test_removal_deletes_all_of_the_driver(node: Node) -> None:
    node.settle()
    assert removal.remove(cast("Client", node.server), None) == len(SLICES)
    assert not node.server.present()
