"""What a sink is given and when: without threads or sleeps."""

import math

import pytest

from nvtopo.agent.delivery_policy import DeliveryPolicy, Stop, Wait, Write
from nvtopo.model.records.node import NodeTopology
from nvtopo.runtime.backoff import Backoff
from tests.observations import observed

FIRST, SECOND, THIRD = (observed(NodeTopology(nvlink_hidden=hidden)) for hidden in (True, False, True))


@pytest.fixture
def policy() -> DeliveryPolicy:
    """Delays of 1, 2, 4 … and at most 60 seconds."""
    return DeliveryPolicy(Backoff(1.0, 60.0, draw=lambda: 1.0))


def test_nothing_offered_is_nothing_to_write_and_nothing_delivered(policy: DeliveryPolicy) -> None:
    assert policy.next(0.0) == Wait(math.inf)
    assert not policy.delivered(0.0)


def test_each_observation_is_written_once(policy: DeliveryPolicy) -> None:
    for observation in (FIRST, SECOND, THIRD):
        policy.offer(observation)
        action = policy.next(0.0)
        assert isinstance(action, Write)
        assert action.observation is observation
        assert policy.written() == 0
        assert policy.next(0.0) == Wait()
        assert policy.delivered(0.0)


def test_only_the_newest_is_written_after_a_write_that_took_long(policy: DeliveryPolicy) -> None:
    policy.offer(FIRST)
    policy.next(0.0)
    policy.offer(SECOND)
    policy.offer(THIRD)
    policy.written()
    action = policy.next(1.0)
    assert isinstance(action, Write)
    assert action.observation is THIRD
    policy.written()
    assert policy.next(1.0) == Wait()


def test_failed_write_is_tried_again_after_delays_that_double_up_to_a_minute(policy: DeliveryPolicy) -> None:
    policy.offer(FIRST)
    now, waits = 0.0, []
    for attempt in range(10):
        action = policy.next(now)
        assert isinstance(action, Write)
        assert action.observation is FIRST
        assert policy.failed(now) is (attempt == 0), "the first of a row alone is news"
        waiting = policy.next(now)
        assert isinstance(waiting, Wait)
        waits.append(waiting.until - now)
        assert policy.next(math.nextafter(waiting.until, 0.0)) == waiting
        now = waiting.until
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    policy.next(now)
    assert policy.written() == 10
    policy.offer(SECOND)
    policy.next(now)
    assert policy.failed(now)
    assert policy.next(now) == Wait(now + 1), "success begins with the shortest delay again"


def test_newer_observation_replaces_the_failed_one_and_does_not_shorten_its_delay(policy: DeliveryPolicy) -> None:
    policy.offer(FIRST)
    policy.next(0.0)
    policy.failed(0.0)
    policy.offer(SECOND)
    assert policy.next(0.5) == Wait(1.0)
    action = policy.next(1.0)
    assert isinstance(action, Write)
    assert action.observation is SECOND


def test_observation_offered_during_a_write_that_fails_is_the_next(policy: DeliveryPolicy) -> None:
    policy.offer(FIRST)
    policy.next(0.0)
    policy.offer(SECOND)
    policy.failed(0.0)
    action = policy.next(1.0)
    assert isinstance(action, Write)
    assert action.observation is SECOND


def test_server_s_retry_after_comes_before_our_own_delay(policy: DeliveryPolicy) -> None:
    policy.offer(FIRST)
    policy.next(5.0)
    policy.failed(5.0, retry_after=17.0)
    assert policy.next(5.0) == Wait(23.0)


@pytest.mark.parametrize(("seconds", "delivered"), [(0.0, True), (9.9, True), (10.0, False), (60.0, False)])
def test_write_that_takes_ten_seconds_is_not_delivered(policy: DeliveryPolicy, seconds: float, delivered: bool) -> None:
    policy.offer(FIRST)
    policy.next(0.0)
    assert not policy.delivered(0.0), "the first is not written yet"
    policy.written()
    policy.offer(SECOND)
    policy.next(100.0)
    assert policy.delivered(100.0 + seconds) is delivered
    policy.written()
    assert policy.delivered(100.0 + seconds)


def test_failure_is_not_delivered_until_a_write_succeeds(policy: DeliveryPolicy) -> None:
    policy.offer(FIRST)
    policy.next(0.0)
    policy.written()
    policy.offer(SECOND)
    policy.next(0.0)
    policy.failed(0.0)
    assert not policy.delivered(0.0)
    policy.next(1.0)
    assert not policy.delivered(1.0)
    policy.written()
    assert policy.delivered(1.0)


def test_stop_and_a_bug_end_it(policy: DeliveryPolicy) -> None:
    policy.offer(FIRST)
    policy.next(0.0)
    policy.written()
    policy.offer(SECOND)
    policy.broken()
    assert (policy.next(0.0), policy.delivered(0.0)) == (Stop(), False)
    stopped = DeliveryPolicy()
    stopped.offer(FIRST)
    stopped.stop()
    assert stopped.next(0.0) == Stop()
