import pytest

from nvtopo.model.conclusions.roce import roce_mtu, usable_gid
from nvtopo.model.records.facts import GidEntry, RdmaPort

LINK_LOCAL = "fe80:0000:0000:0000:0200:00ff:fe00:0001"
IPV4 = "0000:0000:0000:0000:0000:ffff:c000:0201"
IPV6 = "2001:0db8:0000:0000:0000:0000:0000:0001"


def port(*gids: tuple[int, str, str], link_layer: str = "Ethernet") -> RdmaPort:
    return RdmaPort(
        number=1,
        link_layer=link_layer,
        gids=tuple(GidEntry(index=index, gid=gid, type=kind) for index, gid, kind in gids),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("gids", "index"),
    [
        (((0, LINK_LOCAL, "IB/RoCE v1"), (1, LINK_LOCAL, "RoCE v2"), (2, IPV4, "IB/RoCE v1"), (3, IPV4, "RoCE v2")), 3),
        (((4, IPV4, "RoCE v2"),), 4),
        (((0, LINK_LOCAL, "RoCE v2"), (5, IPV6, "RoCE v2")), 5),
        (((0, LINK_LOCAL, "IB/RoCE v1"), (1, LINK_LOCAL, "RoCE v2")), None),
        ((), None),
    ],
)
def test_the_gid_that_routes(gids: tuple[tuple[int, str, str], ...], index: int | None) -> None:
    chosen = usable_gid(port(*gids))
    assert (None if chosen is None else chosen.index) == index


def test_infiniband_uses_the_first_gid() -> None:
    chosen = usable_gid(port((0, LINK_LOCAL, "IB/RoCE v1"), link_layer="InfiniBand"))
    assert chosen is not None
    assert chosen.index == 0


@pytest.mark.parametrize(
    ("netdev", "mtu"),
    [(1500, 1024), (1119, 512), (1120, 1024), (2144, 2048), (4191, 2048), (4192, 4096), (9000, 4096), (200, None)],
)
def test_the_kernel_s_rule_for_the_mtu_over_ethernet(netdev: int, mtu: int | None) -> None:
    assert roce_mtu(netdev) == mtu
