"""The thread around gangs: it places and writes while it leads, counts pods always, and loses no step to a failure."""

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, cast

import msgspec
import pytest

from nvtopo.aggregator import gang_metrics
from nvtopo.aggregator.counted_pods import CountedPods
from nvtopo.aggregator.desk import Desk
from nvtopo.aggregator.gang_keeper import GangKeeper
from nvtopo.errors import ApiError, Forbidden
from nvtopo.gangs.steps import Result, Say
from nvtopo.kube import pod_changes
from nvtopo.kube.apply_queue import Outcome, outcome_of
from nvtopo.kube.client import Client
from nvtopo.kube.reservations import Reservations
from nvtopo.placement.pods import GATE, Bound, GpuPod, PodEvent, PodGone, PodSeen, PodsListed
from tests.aggregator.running import PATIENCE, looping
from tests.cluster import machines
from tests.kube.config_map import ConfigMapServer


class World:
    """An API server of pods, and a keeper that runs on it."""

    def __init__(self) -> None:
        self.events_to_come: queue.SimpleQueue[PodEvent] = queue.SimpleQueue()
        self.patches: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.term: int | None = 1
        self.books = ConfigMapServer()
        self.counted = CountedPods()
        graph = machines.graph(machines.racks(1, 2))
        ledger = Reservations(cast("Client", self.books), "nvtopo", lambda: 0.0)
        self.desk = Desk(lambda: graph, ledger, lambda: 0.0, counted=self.counted.counted)
        client = cast("Client", self)
        self.keeper = GangKeeper(self, self.counted, self.desk, client, term=lambda: self.term, graph=lambda: graph)

    def events(self, stop: threading.Event) -> Iterator[PodEvent]:
        while not stop.is_set():
            try:
                yield self.events_to_come.get(timeout=0.01)
            except queue.Empty:
                continue

    def request(self, method: str, path: str, *, body: bytes, content_type: str) -> None:
        assert (method, content_type) == ("PATCH", "application/merge-patch+json")
        self.patches.put((path.rpartition("/")[2], msgspec.json.decode(body)))

    def patched(self) -> dict[str, str]:
        """Pod → its rank, of the next two patches."""
        found = [self.patches.get(timeout=PATIENCE) for _number in range(2)]
        return {name: patch["metadata"]["annotations"]["nvtopo.io/rank"] for name, patch in found}

    @contextmanager
    def runs(self) -> Iterator[None]:
        with looping(self.keeper.run, self.keeper.applier.run):
            yield


def pod(number: int, **changes: Any) -> GpuPod:
    made = GpuPod(namespace="team", name=f"g-{number}", uid=f"u{number}", gpus=4, gates=(GATE,), gang="g", size="2")
    return msgspec.structs.replace(made, **changes)


@pytest.mark.slow
def test_a_gang_is_placed_and_given_back_by_who_leads() -> None:
    world = World()
    with world.runs():
        world.events_to_come.put(PodsListed((pod(0), pod(1))))
        assert world.patched() == {"g-0": "0", "g-1": "1"}
        assert {*world.desk.held("gang:")} == {"gang:team/g"}
        assert world.keeper.figures == (0, 1)
        for number in range(2):
            world.events_to_come.put(PodGone("team", f"g-{number}"))
        world.events_to_come.put(PodSeen(pod(5, name="next", gang="next", size="1")))
        name, patch = world.patches.get(timeout=PATIENCE)
        assert (name, patch["metadata"]["annotations"]["nvtopo.io/reservation"]) == ("next", "gang:team/next")
        assert {*world.desk.held("gang:")} == {"gang:team/next"}


@pytest.mark.slow
def test_gangs_that_end_together_are_given_back_together() -> None:
    world, gangs = World(), 8
    pods = [pod(at, name=f"g{at}-0", gang=f"g{at}", size="1", gpus=1) for at in range(gangs)]
    with world.runs():
        world.events_to_come.put(PodsListed(tuple(pods)))
        for _gang in range(gangs):
            world.patches.get(timeout=PATIENCE)
        assert len(world.desk.held("gang:")) == gangs
        releasing, asked, every = world.desk.releasing, list[tuple[str, Future[bool]]](), threading.Event()

        def together(key: str) -> Future[bool]:
            asked.append((key, Future()))
            if len(asked) == gangs:
                every.set()
            return asked[-1][1]

        world.desk.releasing = together  # type: ignore[method-assign]
        world.events_to_come.put(PodsListed(()))
        assert every.wait(PATIENCE), "each waits for the one before"
        for key, future in asked:
            future.set_result(releasing(key).result())
        assert not world.desk.held("gang:")


@pytest.mark.slow
def test_a_follower_counts_pods_and_writes_nothing_until_it_leads() -> None:
    world = World()
    world.term = None
    node = machines.name(1, 0)
    with world.runs():
        bound = pod(7, name="other", gang="", gates=(), node=node)
        world.events_to_come.put(PodsListed((bound, pod(0, size="1"))))
        world.events_to_come.put(PodSeen(pod(1, name="seen", gang="", gates=(), node="elsewhere")))
        waited = threading.Event()
        while "elsewhere" not in world.counted.counted():
            waited.wait(0.01)
        assert world.books.writes == 0
        assert world.patches.empty()
        world.term = 1
        _name, patch = world.patches.get(timeout=PATIENCE)
    affinity = patch["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert affinity["nodeSelectorTerms"][0]["matchFields"][0]["values"] == [machines.name(1, 1)]


@pytest.mark.slow
def test_a_ledger_that_can_t_be_written_delays_a_gang_and_loses_it_not() -> None:
    world, refused = World(), threading.Event()

    def refuse() -> None:
        refused.set()
        raise ApiError("overloaded", status=500)

    world.books.before_a_write = refuse
    with world.runs():
        world.events_to_come.put(PodsListed((pod(0), pod(1))))
        assert refused.wait(PATIENCE)
        assert world.patches.empty()
        world.books.before_a_write = lambda: None
        assert world.patched() == {"g-0": "0", "g-1": "1"}


def test_the_page_says_how_many_wait() -> None:
    world = World()
    samples = {family.series.name: family for family in gang_metrics.families(world.keeper)}
    assert samples.keys() == {series.name for series in gang_metrics.SERIES}
    assert not samples["nvtopo_aggregator_gang_measured_bus_bytes_per_second"].samples


def test_what_a_job_measured_is_a_series() -> None:
    result = Result("team", "g", "leaf", 9 * 10**11, None, 0.25, 1.5)
    found = {family.series.name: family.samples for family in gang_metrics.measured((result,))}
    labels = '{namespace="team",gang="g",level="leaf"}'
    assert found == {
        "nvtopo_aggregator_gang_predicted_bus_bytes_per_second": [(labels, 9 * 10**11)],
        "nvtopo_aggregator_gang_measured_bus_bytes_per_second": [],
        "nvtopo_aggregator_gang_predicted_seconds": [(labels, 0.25)],
        "nvtopo_aggregator_gang_measured_step_seconds": [(labels, 1.5)],
    }


def test_what_bound_pods_are_part_of_is_a_series_to_join_the_audit_with() -> None:
    bound = GpuPod(namespace="team", name="g-1", uid="u", gpus=8, node="a", job="train", gang="g", group="2", rank=1)
    plain = GpuPod(namespace="team", name="a", uid="v", gpus=1, node="b")
    (family,) = [gang_metrics.workloads((bound, plain))]
    assert family.series.name == "nvtopo_pod_workload_info"
    assert family.samples == [
        ('{namespace="team",pod="a",node="b"}', 1),
        ('{namespace="team",pod="g-1",node="a",job="train",gang="g/2",rank="1"}', 1),
    ]


def test_pods_that_are_bound_and_run_are_named_and_no_more_than_there_is_room_for() -> None:
    def one(name: str, **more: Any) -> GpuPod:
        return GpuPod(**{"namespace": "team", "name": name, "uid": name, "gpus": 1, "node": "n", **more})

    bound = Bound(2)
    bound.fold(PodsListed((one("a"), one("b", node=""), one("c", ended=True), one("d"), one("e"))))
    assert [pod.name for pod in bound.pods()] == ["a", "d"]
    bound.fold(PodSeen(one("a", ended=True)))
    bound.fold(PodSeen(one("b")))
    bound.fold(PodGone("team", "d"))
    assert [pod.name for pod in bound.pods()] == ["b"]
    bound.fold(PodsListed(()))
    assert bound.pods() == ()


@pytest.mark.parametrize(("status", "outcome"), [(403, Outcome.REFUSED), (401, Outcome.UNAVAILABLE)])
def test_a_policy_of_one_namespace_stands_in_the_way_of_its_pods_alone(status: int, outcome: Outcome) -> None:
    world = World()

    def refused(*_what: Any, **_how: Any) -> None:
        raise Forbidden("a policy says no", status=status)

    world.request = refused  # type: ignore[method-assign]
    path, change = pod_changes.path_of("team", "g-0"), pod_changes.change(Say(pod(0), "it waits"))
    with pytest.raises(ApiError) as found:
        world.keeper.applier._write(path, change)
    assert outcome_of(found.value) is outcome
