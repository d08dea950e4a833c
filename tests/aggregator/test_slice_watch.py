"""The thread that compares ResourceSlices with the graph: told after it lasted, and taken back."""

import threading
from collections.abc import Callable, Iterator

from nvtopo.aggregator.followed_slices import FollowedSlices
from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.slice_watch import SliceWatch
from nvtopo.cluster.inventory import Listed as NodesListed
from nvtopo.cluster.slices import Device, Slice
from nvtopo.kube.following import Changed, Listed
from nvtopo.kube.resource_slices import SliceEvent
from tests.aggregator.running import PATIENCE, Script, looping, running
from tests.kube.machines import hgx

WRONG = Slice("dra.net", "n0", "n0", 1, 1, (Device("nic-0", numa=-1),))
RIGHT = WRONG._replace(devices=(Device("nic-0"),))
EVIDENCE = "dra.net nic-0 numaNode -1: it should be left out"


class Silent:
    """A source of which the test itself gives the events."""

    def events(self, stop: threading.Event) -> Iterator[SliceEvent]:
        yield from ()
        stop.wait()


def told(aggregator: Aggregator, act: Callable[[], None]) -> list[str]:
    """The findings of slices in the next graph after this act."""
    assert aggregator.graph is not None
    generation = aggregator.graph.generation
    act()
    graph = aggregator.wait(generation, PATIENCE)
    assert graph is not None
    return [one.reason for one in graph.drift if one.kind in ("dra", "dra-notes")]


def test_what_lasts_is_in_the_graph_and_goes_again() -> None:
    now = [0.0]
    with running(Script(NodesListed({"n0": hgx()}))) as aggregator:
        assert aggregator.wait(0, PATIENCE) is not None
        slices = FollowedSlices(Silent())
        watch = SliceWatch(slices, aggregator, lasting_seconds=60, clock=lambda: now[0])
        slices.take(Listed({"s0": WRONG, "of-nobody": WRONG._replace(node="")}))
        watch.look()
        before = aggregator.graph
        now[0] = 59.0
        watch.look()
        assert aggregator.graph is before
        now[0] = 60.0
        assert told(aggregator, watch.look) == [EVIDENCE]
        slices.take(Changed("s0", RIGHT))
        assert told(aggregator, watch.look) == []
        slices.take(Changed("s0", WRONG))
        watch.look()
        now[0] = 120.0
        assert told(aggregator, watch.look) == [EVIDENCE]
        slices.take(Changed("s0", None))
        assert told(aggregator, watch.look) == []


def test_a_list_takes_back_what_is_not_in_it() -> None:
    with running(Script(NodesListed({"n0": hgx()}))) as aggregator:
        assert aggregator.wait(0, PATIENCE) is not None
        slices = FollowedSlices(Silent())
        watch = SliceWatch(slices, aggregator, lasting_seconds=0)
        slices.take(Listed({"s0": WRONG}))
        assert told(aggregator, watch.look) == [EVIDENCE]
        slices.take(Listed({}))
        assert told(aggregator, watch.look) == []


def test_it_runs_beside_the_loop_and_ends() -> None:
    class Says(Silent):
        def events(self, stop: threading.Event) -> Iterator[SliceEvent]:
            yield Listed({"s0": WRONG})
            stop.wait()

    with running(Script(NodesListed({"n0": hgx()}))) as aggregator:
        graph = aggregator.wait(0, PATIENCE)
        assert graph is not None
        slices = FollowedSlices(Says())
        watch = SliceWatch(slices, aggregator, lasting_seconds=0, tick_seconds=0.01)
        with looping(slices.run, watch.run):
            graph = aggregator.wait(graph.generation, PATIENCE)
            assert graph is not None
            assert [one.reason for one in graph.drift] == [EVIDENCE]
