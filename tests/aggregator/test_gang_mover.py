"""Where pods can't go, as the Nodes and the graph say, and what the keeper makes of it."""

import queue
import threading
import time
from collections.abc import Iterator
from typing import cast

import msgspec
import pytest

from nvtopo.aggregator.gang_keeper import GangKeeper
from nvtopo.aggregator.gang_mover import SETTLE_SECONDS, GangMover
from nvtopo.errors import ParseError
from nvtopo.gangs.node_states import NodeState, Taint
from nvtopo.kube.client import Client
from nvtopo.kube.following import Changed, Listed
from nvtopo.kube.node_states import StateEvent, read
from nvtopo.placement.pods import PodGone, PodSeen, PodsListed, Toleration
from nvtopo.placement.result import Rank
from tests.aggregator.running import PATIENCE, looping
from tests.aggregator.test_gang_keeper import World, pod
from tests.cluster import machines

WELL = NodeState(ready=True)
NAMES = [machines.name(1, at) for at in range(3)]
GRAPH = machines.graph(machines.racks(1, 3))


class Nodes:
    """A source of events about Nodes."""

    def __init__(self, *events: StateEvent) -> None:
        self.to_come: queue.SimpleQueue[StateEvent] = queue.SimpleQueue()
        for event in events:
            self.to_come.put(event)

    def events(self, stop: threading.Event) -> Iterator[StateEvent]:
        while not stop.is_set():
            try:
                yield self.to_come.get(timeout=0.01)
            except queue.Empty:
                continue


def mover(*events: StateEvent) -> GangMover:
    """One that has seen these."""
    made = GangMover(Nodes(), lambda: GRAPH, lambda: 0.0)
    for event in events:
        made._take(event)
    return made


def test_a_node_is_read_as_far_as_it_decides_where_pods_go() -> None:
    taints = [
        {"key": "a", "value": "b", "effect": "NoSchedule"},
        {"key": "c", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"},
        {"key": "d", "effect": "PreferNoSchedule"},
    ]
    ready = {"type": "Ready", "status": "Unknown", "lastTransitionTime": "1970-01-01T00:01:00Z"}
    node = {
        "metadata": {"name": "n", "resourceVersion": "7"},
        "spec": {"unschedulable": True, "taints": taints},
        "status": {"conditions": [{"type": "DiskPressure", "status": "False"}, ready]},
    }
    found = read(msgspec.json.encode(node))
    expected = (Taint("a", "b", "NoSchedule"), Taint("c", "", "NoExecute"))
    assert found == ("n", "7", NodeState(ready=False, since=60.0, cordoned=True, taints=expected))
    assert read(b'{"metadata":{"name":"n"},"spec":{"taints":null},"status":{"conditions":null}}').value == NodeState()
    well = {"metadata": {"name": "n"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert read(msgspec.json.encode(well)).value == WELL
    many = {"metadata": {"name": "n"}, "spec": {"taints": [taints[0]] * 999}}
    assert len(read(msgspec.json.encode(many)).value.taints) == 256
    with pytest.raises(ParseError):
        read(b'{"metadata":{"name":7}}')


def test_until_the_nodes_are_listed_nothing_is_known_and_that_is_not_waited_for_for_ever() -> None:
    now = [100.0]
    made = GangMover(Nodes(), lambda: GRAPH, lambda: now[0])
    assert made.settled is False
    assert made.closed(()) == {}
    assert made.lost(pod(0), Rank(rank=0, node="nowhere", gpus=(0,)), degraded=False) is None
    now[0] += SETTLE_SECONDS
    settled: bool = made.settled
    assert settled
    assert mover(Listed({})).settled


def test_nodes_are_closed_to_who_does_not_tolerate_them() -> None:
    made = mover(Listed({NAMES[0]: WELL, NAMES[1]: NodeState(ready=True, taints=(Taint("gpu", "", "NoSchedule"),))}))
    gone = {NAMES[2]: "there is no such Node"}
    assert made.closed(()) == {NAMES[1]: "it has the taint gpu:NoSchedule"} | gone
    tolerant = (Toleration(key="gpu", operator="Exists"),)
    assert made.closed(tolerant) == gone
    assert made.closed(tolerant) is made.closed(tolerant)
    assert made._take(Changed(NAMES[2], NodeState(ready=False)))
    assert made.closed(tolerant) == {NAMES[2]: "NotReady"}
    assert not made._take(Changed(NAMES[2], NodeState(ready=False))), "a sign of life changes nothing"
    assert made._take(Changed(NAMES[2], None))
    assert made.closed(tolerant) == gone


@pytest.mark.slow
def test_the_keeper_gives_a_part_of_a_gang_another_place_and_looks_again_when_nodes_change() -> None:
    world, nodes = World(), Nodes(Listed(dict.fromkeys(NAMES, WELL)))
    graph = machines.graph(machines.racks(1, 3))
    world.desk._graph = lambda: graph
    follows = GangMover(nodes, lambda: graph, time.time)
    keeper = GangKeeper(
        world, world.counted, world.desk, cast("Client", world), term=lambda: 1, graph=lambda: graph, mover=follows
    )
    with looping(keeper.run, keeper.applier.run, follows.run):
        world.events_to_come.put(PodsListed((pod(0), pod(1))))
        assert world.patched() == {"g-0": "0", "g-1": "1"}
        there = world.desk.held("gang:")["gang:team/g"]
        for number, rank in enumerate(there.ranks):
            lifted = pod(number, gates=(), rank=rank.rank, reservation="gang:team/g", node=rank.node)
            world.events_to_come.put(PodSeen(lifted))
        nodes.to_come.put(Changed(NAMES[1], WELL._replace(cordoned=True)))
        nodes.to_come.put(Changed(NAMES[2], WELL._replace(cordoned=True)))
        world.events_to_come.put(PodSeen(pod(2, order=(1,))))
        world.events_to_come.put(PodGone("team", "g-1"))
        name, patch = world.patches.get(timeout=PATIENCE)
        said = patch["metadata"]["annotations"]["nvtopo.io/placement-status"]
        assert (name, said[:9]) == ("g-2", "cordoned:")
        nodes.to_come.put(Changed(NAMES[2], WELL))
        name, patch = world.patches.get(timeout=PATIENCE)
        assert (name, patch["metadata"]["annotations"]["nvtopo.io/rank"]) == ("g-2", "1")
    after = world.desk.held("gang:")["gang:team/g"]
    assert [rank.node for rank in after.ranks] == [NAMES[0], NAMES[2]]
    assert keeper.moved == 1
