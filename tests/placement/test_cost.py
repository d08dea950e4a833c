"""The cost as a formula, and the published table that it is compared with."""

import pytest

from nvtopo.placement import cost
from nvtopo.placement.links import Link

NEAR, FAR = Link(latency_ps=10, bytes_per_second=100), Link(latency_ps=50, bytes_per_second=10)


@pytest.mark.parametrize(("gigabytes_per_second", "milliseconds"), [(1800, "0.0156"), (600, "0.0467"), (50, "0.5600")])
def test_the_published_table(gigabytes_per_second: int, milliseconds: str) -> None:
    assert f"{cost.published(gigabytes_per_second * 10**9) / 1e9:.4f}" == milliseconds


def test_the_whole_published_forward_pass() -> None:
    assert cost.published(50 * 10**9) * 160 == 89_600_000_000


def test_a_ring_of_four_on_two_hosts() -> None:
    moved = 2 * 3 * 40 * cost.PS_PER_SECOND // (4 * 10)
    assert cost.ring((NEAR, FAR), (2, 1), ranks=4, message_bytes=40) == moved + 2 * (2 * 10 + 1 * 50)


def test_one_gpu_sends_nothing() -> None:
    assert cost.ring((NEAR, FAR), (1,), ranks=1, message_bytes=1 << 30) == 0


def test_a_send_and_an_exchange() -> None:
    assert cost.sent_ps(FAR, 40) == 50 + 4 * cost.PS_PER_SECOND
    assert cost.all_to_all_ps(FAR, 4, 40) == 3 * 50 + 3 * cost.PS_PER_SECOND
    assert cost.all_to_all_ps(FAR, 4, 0) == cost.all_to_all_ps(FAR, 1, 40) == 0
