"""GPUs that pods hold: what the NodeAllocations say, and nodes of which nobody knows."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from nvtopo.aggregator.fleets import Use
from nvtopo.aggregator.holdings import Holdings
from nvtopo.kube.allocations import AllocationEvent
from nvtopo.kube.following import Changed, Listed
from nvtopo.model.records.allocation import Allocation, Held
from tests.agent.test_agent import wait_until


def holds(*gpus: int) -> Allocation:
    return Allocation(containers=(Held(namespace="jobs", pod="a", container="c", gpus=gpus),))


class Said:
    """A source that says what it is given."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[AllocationEvent | None] = queue.SimpleQueue()

    def events(self, stop: threading.Event) -> Iterator[AllocationEvent]:
        while (event := self.queue.get()) is not None:
            assert not stop.is_set()
            yield event


@contextmanager
def following() -> Iterator[tuple[Said, Holdings]]:
    said = Said()
    holdings = Holdings(said)
    thread = threading.Thread(target=holdings.run, args=(threading.Event(),))
    thread.start()
    try:
        yield said, holdings
    finally:
        said.queue.put(None)
        thread.join(10)
        assert not thread.is_alive()


def test_before_the_first_list_nothing_is_known_of_any_node() -> None:
    with following() as (_, holdings):
        assert holdings.use() == Use({}, frozenset())


def test_what_is_held_is_followed_and_the_same_stays_the_same_object() -> None:
    with following() as (said, holdings):
        said.queue.put(Listed({"a": holds(0, 1), "b": Allocation(containers=())}))
        assert wait_until(lambda: holdings.use() == Use({"a": frozenset({0, 1})}, frozenset({"a", "b"})))
        said.queue.put(Changed("b", holds(3)))
        assert wait_until(lambda: holdings.use().held.get("b") == frozenset({3}))
        same = holdings.use()
        said.queue.put(Changed("b", holds(3)))
        said.queue.put(Changed("c", None))
        said.queue.put(Changed("a", None))
        assert wait_until(lambda: holdings.use() == Use({"b": frozenset({3})}, frozenset({"b"})))
        assert same is not holdings.use() is holdings.use()


def test_a_node_whose_holders_are_not_known_is_not_told_of() -> None:
    with following() as (said, holdings):
        said.queue.put(Listed({"a": holds(0), "b": Allocation(containers=(), unknown="no kubelet")}))
        assert wait_until(lambda: holdings.use() == Use({"a": frozenset({0})}, frozenset({"a"})))
        said.queue.put(Listed({}))
        assert wait_until(lambda: holdings.use() == Use({}, frozenset()))
