"""When a slice is written: as a table of what happened, and what is due then."""

import math

import pytest

from nvtopo.dra.publish_policy import Create, Delete, PublishPolicy, Replace, Wait
from nvtopo.kube.own_slices import Present
from nvtopo.runtime.backoff import Backoff

HERE = Present("7", 3, b"one")


def policy(*, registered: bool = True, present: dict[str, Present] | None = None) -> PublishPolicy:
    made = PublishPolicy(Backoff(1.0, 60.0, lambda: 1.0))
    made.registered(known=registered)
    made.want({"a": b"one"})
    made.stand(present or {})
    return made


def test_what_is_missing_is_created_what_differs_replaced_what_is_too_much_deleted() -> None:
    made = policy(present={"a": HERE._replace(content=b"two"), "c": HERE})
    made.want({"a": b"one", "b": b"one"})
    done = []
    while not isinstance(action := made.next(0.0), Wait):
        done.append(action)
        made.wrote(action.name, 0.0)
    assert done == [Replace("a", HERE._replace(content=b"two")), Create("b"), Delete("c")]


def test_what_is_equal_is_not_written() -> None:
    assert policy(present={"a": HERE}).next(0.0) == Wait(math.inf)


def test_nothing_is_written_before_the_kubelet_knows_the_plugin() -> None:
    made = policy(registered=False)
    assert made.next(0.0) == Wait(math.inf)
    made.registered(known=True)
    assert made.next(0.0) == Create("a")


def test_what_stands_is_left_where_the_kubelet_refuses_the_plugin() -> None:
    made = policy(present={"b": HERE})
    made.registered(known=False)
    assert made.next(0.0) == Wait(math.inf)


@pytest.mark.parametrize("what", ["topology", "slices"])
def test_nothing_is_written_before_both_are_known(what: str) -> None:
    made = PublishPolicy()
    made.registered(known=True)
    if what == "topology":
        made.want({"a": b"one"})
    else:
        made.stand({})
    assert made.next(0.0) == Wait(math.inf)


def test_what_the_kubelet_wipes_comes_back_at_once() -> None:
    made = policy(present={"a": HERE})
    made.changed("a", None, 100.0)
    assert made.next(100.0) == Create("a")


def test_a_write_is_not_repeated_before_the_watch_can_show_it() -> None:
    made = policy()
    assert made.next(0.0) == Create("a")
    made.wrote("a", 0.0)
    assert made.next(0.5) == Wait(1.0)
    made.changed("a", HERE, 0.6)
    assert made.next(2.0) == Wait(math.inf)


def test_who_deletes_it_again_and_again_causes_a_write_a_second() -> None:
    made = policy()
    writes = 0
    for tenth in range(100):
        now = tenth / 10
        made.changed("a", None, now)
        if isinstance(made.next(now), Create):
            made.wrote("a", now)
            writes += 1
    assert writes == 10


def test_after_a_failure_everything_waits_longer_each_time() -> None:
    made = policy()
    assert made.failed(0.0)
    assert made.next(0.0) == Wait(1.0)
    assert made.next(1.0) == Create("a")
    assert not made.failed(1.0)
    assert made.next(1.0) == Wait(3.0)
    assert made.next(3.0) == Create("a")
    assert made.wrote("a", 3.0), "the first success after failures is said"
    assert not made.wrote("a", 5.0)
    assert made.failed(5.0)
    assert made.next(5.9) == Wait(6.0)


def test_the_server_may_ask_for_more() -> None:
    made = policy()
    made.failed(0.0, 30.0)
    assert made.next(0.0) == Wait(31.0)


def test_without_topology_it_lingers_and_goes() -> None:
    made = policy(present={"a": HERE})
    made.lose(10.0)
    made.lose(100.0)
    assert made.next(100.0) == Wait(190.0)
    assert made.next(190.0) == Delete("a")


def test_a_topology_that_comes_again_leaves_it() -> None:
    made = policy(present={"a": HERE})
    made.lose(10.0)
    made.want({"a": b"one"})
    assert made.next(1000.0) == Wait(math.inf)


def test_what_another_version_of_the_plugin_writes_is_left_for_half_a_minute() -> None:
    made = policy(present={"a": HERE})
    made.changed("a", HERE._replace(version="8", content=b"newer"), 10.0)
    assert made.next(10.0) == Wait(40.0)
    assert made.next(40.0) == Replace("a", HERE._replace(version="8", content=b"newer"))


def test_what_changes_on_the_node_meanwhile_is_written_at_once() -> None:
    made = policy(present={"a": HERE})
    made.want({"a": b"two"})
    assert made.next(10.0) == Replace("a", HERE)
