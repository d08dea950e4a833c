"""Rates between samples: exact where the counters are, and absent where a counter fell or did not answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.model.samples.gpu_counters import (
    Counters,
    GpuHealth,
    GpuHistory,
    GpuSample,
    Statistics,
    shares,
    statistics,
    step,
    total,
)


def sample(at: float, sent: Counters, health: GpuHealth | None = None) -> GpuSample:
    return GpuSample(index=0, uuid="GPU-0", at=at, sent=sent, received=(), health=health)


def test_a_rate_is_bytes_by_seconds() -> None:
    assert step(sample(10.0, (100, 5)), sample(12.0, (300, 5))).sent == (100.0, 0.0)


@pytest.mark.parametrize(
    ("before", "after"),
    [((100,), (99,)), ((None,), (5,)), ((5,), (None,)), ((1, 2), (5,))],
    ids=["fell", "was unknown", "is unknown", "another number of links"],
)
def test_what_cannot_be_told_has_no_rate(before: Counters, after: Counters) -> None:
    assert step(sample(1.0, before), sample(2.0, after)).sent == (None,)


@given(st.lists(st.integers(0, 1 << 64), min_size=2))
def test_no_rate_is_negative(counters: list[int]) -> None:
    history = GpuHistory()
    for second, counter in enumerate(counters):
        history.add(sample(float(second), (counter,)), needed_since=0)
    traffic = history.traffic(0)
    assert traffic is not None
    assert all(rate is None or rate >= 0 for rate in (*traffic.sent.mean, *traffic.sent.peak))


def test_a_burst_is_the_peak_and_not_the_mean() -> None:
    history = GpuHistory()
    for at, counter in ((0, 0), (1, 0), (2, 900), (3, 900)):
        history.add(sample(at, (counter,)), needed_since=0)
    traffic = history.traffic(since=0)
    assert traffic is not None
    assert traffic.sent == Statistics(mean=(300.0,), peak=(900.0,))
    later = history.traffic(since=2)
    assert later is not None
    assert later.sent == Statistics(mean=(0.0,), peak=(0.0,))


def test_the_mean_is_over_time_and_not_over_samples() -> None:
    assert statistics([1, 3], [(8.0,), (0.0,)]) == Statistics(mean=(2.0,), peak=(8.0,))


def test_an_interval_without_a_rate_is_left_out() -> None:
    assert statistics([1, 3], [(8.0, None), (None, None)]) == Statistics(mean=(8.0, None), peak=(8.0, None))


def test_no_interval_is_no_rate() -> None:
    history = GpuHistory()
    assert history.traffic(0) is None
    history.add(sample(1, (5,)), needed_since=0)
    traffic = history.traffic(0)
    assert traffic is not None
    assert traffic.sent == Statistics((), ())


def test_history_reaches_back_as_far_as_asked_and_no_further() -> None:
    history = GpuHistory()
    for at, counter in ((0, 0), (1, 900), (2, 900), (3, 900), (4, 900)):
        history.add(sample(at, (counter,)), needed_since=at - 3)
    traffic = history.traffic(since=-1)
    assert traffic is not None
    assert traffic.sent.peak == (0.0,)


def test_health_stays_until_the_next() -> None:
    history = GpuHistory()
    history.add(sample(1, (5,), GpuHealth(pcie_replays=3)), needed_since=0)
    history.add(sample(2, (5,)), needed_since=0)
    traffic = history.traffic(0)
    assert traffic is not None
    assert traffic.health.pcie_replays == 3


def test_a_sum_that_lacks_a_link_is_unknown() -> None:
    assert total((1, 2)) == 3
    assert total((1, None)) is None
    assert total(()) is None


def test_a_share_needs_a_capacity() -> None:
    assert list(shares((5.0, 5.0, None, 5.0), (10, None, 10))) == [0.5, None, None, None]
