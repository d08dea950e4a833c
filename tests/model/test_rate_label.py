"""``rdma.rate-gbps``: one rate for all ports of all rails, or no label."""

import pytest

from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.features import features
from nvtopo.model.records.node import Nic, NicPort, NodeTopology

RATE = 50_000_000_000


def label(*rates: int | None) -> str | None:
    nics = tuple(
        Nic(name=f"mlx5_{n}", ports=(NicPort(number=1, state="ACTIVE", rate_bytes_per_second=rate),))
        for n, rate in enumerate(rates)
    )
    node = NodeTopology(nics=nics)
    return features(node, derive(node)).get("nvtopo.io/rdma.rate-gbps")


@pytest.mark.parametrize(
    ("rates", "expected"),
    [((RATE, RATE), "400"), ((RATE, RATE // 2), None), ((RATE, None), None), ((None,), None), ((), None)],
)
def test_the_rate_is_that_of_all_ports(rates: tuple[int | None, ...], expected: str | None) -> None:
    assert label(*rates) == expected
