"""The keeper and the desk with claims: what is written at the API server, in which order, and on which GPUs."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeVar, cast

import msgspec
import pytest

from nvtopo.aggregator import gang_metrics
from nvtopo.aggregator.counted_pods import CountedPods
from nvtopo.aggregator.desk import Desk
from nvtopo.aggregator.device_watch import DeviceWatch
from nvtopo.aggregator.fleets import AskedFor
from nvtopo.aggregator.followed_slices import FollowedSlices
from nvtopo.aggregator.gang_claimer import GangClaimer
from nvtopo.aggregator.gang_keeper import READ_SECONDS, GangKeeper
from nvtopo.cli.placing import PlacingOptions, placing
from nvtopo.cluster.slices import Device, Slice
from nvtopo.errors import ApiError, Forbidden, UsageError
from nvtopo.gangs.holders import holder_name
from nvtopo.gangs.state import REFUSED_SECONDS
from nvtopo.gangs.steps import ClaimFigures
from nvtopo.kube.client import Client, Response
from nvtopo.kube.following import Changed, Listed
from nvtopo.kube.gpu_pods import decoded
from nvtopo.kube.reservations import Reservations
from nvtopo.kube.resource_claims import ClaimEvent, read
from nvtopo.kube.resource_slices import SliceEvent
from nvtopo.placement.device_claims import DeviceClaim
from nvtopo.placement.devices import Claimed
from nvtopo.placement.document import parse
from nvtopo.placement.pods import GATE, PREFIX, GpuPod, PodEvent, PodSeen, PodsListed
from nvtopo.placement.result import Assignment, NoFit
from tests.aggregator.running import PATIENCE, looping
from tests.cluster import machines
from tests.kube.config_map import ConfigMapServer

T = TypeVar("T")
NODES: Final = machines.racks(1, 2)
FIRST: Final = machines.name(1, 0)
SECOND: Final = machines.name(1, 1)


class Events(Generic[T]):
    """A source that says what it is given."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[T] = queue.SimpleQueue()

    def events(self, stop: threading.Event) -> Iterator[T]:
        while not stop.is_set():
            try:
                yield self.queue.get(timeout=0.01)
            except queue.Empty:
                continue


def published(node: str, gpus: int = 4) -> Slice:
    devices = tuple(Device(f"gpu-{gpu.index}", uuid=gpu.uuid) for gpu in NODES[node].gpus[:gpus])
    return Slice("gpu.nvidia.com", node, node, 1, 1, devices)


def plugin(node: str) -> Slice:
    return Slice("topo.nvtopo.io", node, f"{node}/gpus", 1, 1)


class World:
    """An API server, and a keeper that makes claims on it."""

    def __init__(self, *, gates: bool = True, image: str = "") -> None:
        self.pods, self.slices, self.claims = Events[PodEvent](), Events[SliceEvent](), Events[ClaimEvent]()
        self.writes: queue.SimpleQueue[tuple[str, str, Any]] = queue.SimpleQueue()
        self.gates = gates
        self.fails = False
        self.refuses = False
        """Claims that are to be made."""
        self.now = 0.0
        graph = machines.graph(NODES)
        books = Reservations(cast("Client", ConfigMapServer()), "nvtopo", lambda: 0.0)
        counted = CountedPods()
        client = cast("Client", self)
        followed = FollowedSlices(self.slices)
        self.devices = devices = DeviceWatch(followed, self.claims, lambda: graph)
        self.desk = Desk(lambda: graph, books, lambda: 0.0, counted=counted.counted, claimed=devices.claimed)
        claimer = GangClaimer(devices, client, lambda: graph, lambda: 0.0, image=image)
        self.keeper = GangKeeper(
            self.pods,
            counted,
            self.desk,
            client,
            term=lambda: 1,
            graph=lambda: graph,
            claimer=claimer,
            clock=lambda: self.now,
        )
        self.loops = (self.keeper.run, self.keeper.applier.run, followed.run, devices.run)

    def apply(self, path: str, document: bytes, *, manager: str) -> Response:
        assert manager == "nvtopo-gangs"
        if self.fails:
            raise ApiError("overloaded", status=500)
        made = msgspec.json.decode(document)
        if "resourceslices" in path and not self.gates:
            made["spec"]["devices"] = [{"name": "gang"}]
        return Response(200, msgspec.json.encode(made))

    def create(self, path: str, document: bytes) -> bytes:
        return self.request("POST", path, body=document).body

    def request(self, method: str, path: str, *, body: bytes, **_how: Any) -> Response:
        self.writes.put((method, path.partition("/namespaces/team/")[2], msgspec.json.decode(body)))
        if self.refuses and method == "POST":
            raise Forbidden("exceeded quota: gpus", status=403)
        return Response(200, b"{}")

    def next(self, count: int) -> list[tuple[str, str, Any]]:
        found = [self.writes.get(timeout=PATIENCE) for _number in range(count)]
        return sorted(found, key=lambda one: (one[1], str(one[2]["metadata"].get("name", "")) if one[2] else ""))

    @contextmanager
    def runs(self) -> Iterator[None]:
        with looping(*self.loops):
            yield

    def begin(self, *slices: Slice) -> None:
        """A gang of two pods that each ask for four GPUs."""
        self.slices.queue.put(Listed({f"{one.driver}-{one.node}": one for one in slices}))
        waited, offered = threading.Event(), {one.node for one in slices if one.driver == "gpu.nvidia.com"}
        while {*(self.devices.claimed().published or {})} != offered:
            waited.wait(0.01)
        self.claims.queue.put(Listed({}))
        self.pods.queue.put(PodsListed((pod(0), pod(1))))


def pod(number: int, **changes: Any) -> GpuPod:
    made = GpuPod(
        namespace="team", name=f"g-{number}", uid=f"u{number}", gpus=0, claimed=4, claim="gpus", gang="g", size="2"
    )
    return msgspec.structs.replace(made, **{"gates": (GATE,), "order": (number,), **changes})


def made(document: Any, **changes: Any) -> DeviceClaim:
    """The claim that was asked for."""
    metadata = {**document["metadata"], "uid": document["metadata"]["name"], "resourceVersion": "1"}
    return read(msgspec.json.encode({**document, "metadata": metadata})).value._replace(**changes)


@pytest.mark.slow
@pytest.mark.parametrize("held", [True, False])
def test_claims_that_name_the_gpus_and_then_the_gates(held: bool) -> None:
    world = World(gates=held)
    with world.runs():
        world.begin(published(FIRST), published(SECOND), plugin(FIRST), plugin(SECOND))
        claims = world.next(2)
        for (method, path, document), node in zip(claims, (FIRST, SECOND), strict=True):
            assert (method, path) == ("POST", "resourceclaims")
            gpus, *barrier = document["spec"]["devices"]["requests"]
            uuids = ", ".join(f'"{gpu.uuid}"' for gpu in NODES[node].gpus)
            assert gpus["exactly"]["selectors"][0]["cel"]["expression"].endswith(f"in [{uuids}]")
            assert [one["exactly"]["deviceClassName"] for one in barrier] == ["nvtopo-gang"] * held
        assert world.writes.empty()
        for _method, _path, document in claims:
            claim = made(document)
            world.claims.queue.put(Changed(f"team/{claim.name}", claim))
        for number, (method, path, patch) in enumerate(world.next(2)):
            assert (method, path) == ("PATCH", f"pods/g-{number}")
            assert patch["spec"]["schedulingGates"] is None
            assert ("affinity" in patch["spec"], "nvtopo.io/claim" in patch["metadata"]["annotations"]) == (
                not held,
                held,
            )
        assert world.keeper.barrier is held
        found = {family.series.name: family.samples for family in gang_metrics.families(world.keeper)}
        assert found["nvtopo_aggregator_gang_barrier"] == [("", int(held))]
        assert found["nvtopo_aggregator_gangs_held"] == [("", int(held))]
        assert found["nvtopo_aggregator_gangs_given_back_total"] == [("", 0)]


@pytest.mark.slow
def test_where_no_barrier_holds_pods_of_ours_hold_the_claims_before_the_gates_are_lifted() -> None:
    world = World(gates=False, image="pause")
    with world.runs():
        world.begin(published(FIRST), published(SECOND))
        claims = [made(document) for _method, _path, document in world.next(2)]
        for claim in claims:
            world.claims.queue.put(Changed(f"team/{claim.name}", claim))
        holders = world.next(2)
        for (method, path, document), claim in zip(holders, claims, strict=True):
            assert (method, path, document["metadata"]["name"]) == ("POST", "pods", holder_name(claim.name))
            assert [one["image"] for one in document["spec"]["containers"]] == ["pause"]
            holder = decoded(msgspec.json.encode(document))
            assert holder is not None
            world.pods.queue.put(PodSeen(msgspec.structs.replace(holder, uid=holder.name, node="n")))
        assert world.writes.empty()
        for claim in claims:
            world.claims.queue.put(Changed(f"team/{claim.name}", claim._replace(allocated=True)))
        for number, (method, path, patch) in enumerate(world.next(2)):
            assert (method, path, "affinity" in patch["spec"]) == ("PATCH", f"pods/g-{number}", False)
            assert patch["metadata"]["annotations"]["nvtopo.io/claim"] == claims[number].name
        place = {"gates": (), "reservation": "gang:team/g", "node": FIRST}
        for number, claim in enumerate(claims):
            world.pods.queue.put(PodSeen(pod(number, rank=number, lifted_for=claim.name, **place)))
        dropped = {world.writes.get(timeout=PATIENCE)[:2] for _claim in claims}
        assert dropped == {("DELETE", f"pods/{holder_name(claim.name)}") for claim in claims}


@pytest.mark.slow
def test_a_node_without_our_plugin_has_no_barrier() -> None:
    world = World()
    with world.runs():
        world.begin(published(FIRST), published(SECOND), plugin(FIRST))
        for _method, _path, document in world.next(2):
            assert len(document["spec"]["devices"]["requests"]) == 1


@pytest.mark.slow
def test_no_claim_is_made_before_the_device_of_gangs_is_there() -> None:
    world = World()
    world.fails = True
    with world.runs():
        world.begin(published(FIRST), published(SECOND), plugin(FIRST), plugin(SECOND))
        method, path, patch = world.writes.get(timeout=PATIENCE)
        assert (method, path) == ("PATCH", "pods/g-0")
        said = patch["metadata"]["annotations"]["nvtopo.io/placement-status"]
        assert said.startswith("the device that holds a gang until it is whole is not published yet: overloaded")
        assert (world.keeper.barrier, world.keeper.claim_figures) == (None, ClaimFigures(0, 0))


@pytest.mark.slow
def test_a_driver_that_publishes_more_gpus_has_gangs_tried_again() -> None:
    world = World()
    told: queue.SimpleQueue[None] = queue.SimpleQueue()
    world.devices.offered = lambda: told.put(None)
    with world.runs():
        world.slices.queue.put(Changed("a", plugin(FIRST)))
        world.slices.queue.put(Changed("b", published(FIRST)))
        told.get(timeout=PATIENCE)
    assert told.empty(), "our own plugin's slices are no GPUs"


@pytest.mark.slow
def test_a_claim_that_came_and_went_while_nobody_watched_is_made_again() -> None:
    world = World()
    with world.runs():
        world.begin(published(FIRST), published(SECOND), plugin(FIRST), plugin(SECOND))
        first = world.next(2)
        world.claims.queue.put(Listed({}))
        world.now = 2 * READ_SECONDS
        assert world.next(2) == first


@pytest.mark.slow
def test_a_gang_whose_claims_are_refused_holds_no_gpus_and_is_tried_again_in_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.refuses = True
    with world.runs():
        world.begin(published(FIRST), published(SECOND), plugin(FIRST), plugin(SECOND))
        while (one := world.writes.get(timeout=PATIENCE))[0] == "POST":
            pass
        method, path, patch = one
        assert (method, path) == ("PATCH", "pods/g-0")
        said = patch["metadata"]["annotations"]["nvtopo.io/placement-status"]
        assert said == "a claim is refused, so its GPUs are given back: exceeded quota: gpus"
        assert not world.desk.held(PREFIX)
        world.refuses, world.now = False, REFUSED_SECONDS + 1
        world.pods.queue.put(PodSeen(pod(0, status=said)))
        assert [method for method, _path, _claim in world.next(2)] == ["POST", "POST"]
        assert len(world.desk.held(PREFIX)) == 1
    assert [record.message for record in caplog.records].count("a claim or its holder is refused") == 1


@pytest.mark.slow
def test_a_refused_claim_of_a_gang_that_runs_is_asked_for_once_and_its_gpus_are_kept() -> None:
    """The applier asks again in a minute."""
    world = World()
    with world.runs():
        world.begin(published(FIRST), published(SECOND), plugin(FIRST), plugin(SECOND))
        first, second = (made(document) for _method, _path, document in world.next(2))
        for claim in (first, second):
            world.claims.queue.put(Changed(f"team/{claim.name}", claim))
        world.next(2)
        place = {"gates": (), "reservation": "gang:team/g", "node": FIRST}
        world.pods.queue.put(PodSeen(pod(0, rank=0, lifted_for=first.name, claim_made=first.name, **place)))
        world.claims.queue.put(Changed(f"team/{second.name}", None))
        world.refuses = True
        world.pods.queue.put(PodSeen(pod(1, uid="another")))
        method, _path, document = world.writes.get(timeout=PATIENCE)
        assert (method, document["metadata"]["name"] != second.name) == ("POST", True)
        while not world.keeper.applier.figures.refused:
            pass
        for number in range(5):
            world.pods.queue.put(PodSeen(pod(1, uid="another", wishes=" " * number)))
        world.pods.queue.put(PodSeen(pod(0, gang="h", name="h-0", uid="h0", size="2")))
        method, path, _patch = world.writes.get(timeout=PATIENCE)
        assert (method, path) == ("PATCH", "pods/h-0"), "another gang says why it waits, and there was nothing before"
        assert len(world.desk.held(PREFIX)) == 1


@pytest.mark.slow
def test_a_claim_that_somebody_deleted_is_made_again() -> None:
    world = World()
    with world.runs():
        world.begin(published(FIRST), published(SECOND), plugin(FIRST), plugin(SECOND))
        first, second = (made(document) for _method, _path, document in world.next(2))
        for claim in (first, second):
            world.claims.queue.put(Changed(f"team/{claim.name}", claim))
        world.next(2)
        world.pods.queue.put(PodSeen(pod(1, gates=(), lifted_for=second.name, reservation="gang:team/g", rank=1)))
        world.claims.queue.put(Changed(f"team/{second.name}", None))
        method, _path, document = world.writes.get(timeout=PATIENCE)
        assert (method, document["metadata"]["name"]) == ("POST", second.name)
        world.claims.queue.put(Listed({f"team/{second.name}": second}))
        method, _path, document = world.writes.get(timeout=PATIENCE)
        assert (method, document["metadata"]["name"]) == ("POST", first.name)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (PlacingOptions(gang_claims=True), "--gang-claims: expected --gangs too"),
        (PlacingOptions(gangs=True, gang_holders="pause"), "--gang-holders: expected --gang-claims too"),
    ],
)
def test_an_option_that_needs_another_says_so(asked: PlacingOptions, said: str) -> None:
    nothing: Any = None
    with pytest.raises(UsageError, match=said):
        placing(nothing, nothing, lambda: 1, "nvtopo", asked, nothing)


def desk(claimed: Claimed) -> Desk:
    graph = machines.graph(NODES)
    books = Reservations(cast("Client", ConfigMapServer()), "nvtopo", lambda: 0.0)
    return Desk(lambda: graph, books, lambda: 0.0, claimed=lambda: claimed)


def place(at: Desk, pods: int, gpus: int, *, by_claim: bool) -> Assignment | NoFit:
    content = msgspec.json.encode({"metadata": {"name": "g"}, "spec": {"pods": pods, "gpusPerPod": gpus}})
    return (
        at.placing(f"k{pods}{gpus}{by_claim}", content, parse(content, "input"), pods=AskedFor(by_claim))
        .result()
        .answer
    )


def test_what_claims_hold_is_given_to_nobody() -> None:
    at = desk(Claimed({FIRST: frozenset((0, 1, 2))}, {SECOND: 1}, {}))
    assert isinstance(place(at, 1, 4, by_claim=False), NoFit)
    found = place(at, 1, 3, by_claim=False)
    assert isinstance(found, Assignment)
    assert found.ranks[0].node == SECOND
    assert isinstance(place(at, 1, 2, by_claim=False), NoFit), "one is left on each"


def test_pods_that_ask_by_claims_get_what_a_driver_publishes() -> None:
    at = desk(Claimed(published={FIRST: frozenset((1, 3))}))
    found = place(at, 1, 2, by_claim=True)
    assert isinstance(found, Assignment)
    assert (found.ranks[0].node, found.ranks[0].gpus) == (FIRST, (1, 3))
    no = place(at, 1, 4, by_claim=True)
    assert isinstance(no, NoFit)
    assert no.counts["no DRA driver publishes its GPUs"] == 1
    assert isinstance(place(at, 1, 4, by_claim=False), Assignment)
