import pytest

from nvtopo.model.records.node import Nic, NicPort, NodeTopology
from nvtopo.model.samples.rdma_resources import DeviceResources
from nvtopo.sinks.metrics import rdma as rdma_metrics
from nvtopo.sinks.metrics import rdma_resources as rdma_resource_metrics
from nvtopo.sinks.metrics.series import text


def page(nic: Nic) -> str:
    node = NodeTopology(nics=(nic,))
    return text(rdma_metrics.families(rdma_metrics.remembered(node), node))


def roce(active: int | None, mtu: int | None, gid: int | None = 3) -> Nic:
    port = NicPort(number=1, state="ACTIVE", link_layer="Ethernet", active_mtu_bytes=active, gid_index=gid)
    return Nic(name="mlx5_0", mtu_bytes=mtu, ports=(port,))


@pytest.mark.parametrize(
    ("active", "netdev", "mismatch"),
    [(4096, 9000, 0), (1024, 1500, 0), (1024, 9000, 1), (2048, 4200, 1), (512, 600, 0), (256, 90, 0)],
)
def test_an_mtu_that_did_not_follow_is_a_mismatch(active: int, netdev: int, mismatch: int) -> None:
    assert f'nvtopo_rdma_port_mtu_mismatch{{device="mlx5_0",port="1"}} {mismatch}\n' in page(roce(active, netdev))


@pytest.mark.parametrize(("active", "netdev"), [(None, 9000), (4096, None)])
def test_what_is_not_known_does_not_mismatch(active: int | None, netdev: int | None) -> None:
    shown = page(roce(active, netdev))
    assert "mismatch" not in shown
    assert ("active_mtu" in shown) == (active is not None)


def test_a_port_without_a_gid_says_so_and_has_no_index() -> None:
    shown = page(roce(4096, 9000, gid=None))
    assert "gid_index" not in shown
    assert 'nvtopo_rdma_port_gid_usable{device="mlx5_0",port="1"} 0\n' in shown


def test_infiniband_has_no_netdev_s_mtu_and_efa_no_gid() -> None:
    port = NicPort(number=1, state="ACTIVE", link_layer="InfiniBand", active_mtu_bytes=4096, gid_index=0)
    assert "netdev_mtu" not in page(Nic(name="mlx5_0", mtu_bytes=4092, ports=(port,)))
    assert "gid" not in page(Nic(name="rdmap0s6", ports=(NicPort(number=1, state="ACTIVE"),)))


def test_a_state_that_is_not_known_is_no_number() -> None:
    shown = page(Nic(name="mlx5_0", ports=(NicPort(number=1, state="LATER"),)))
    assert "state_id" not in shown
    assert 'nvtopo_rdma_port_active{device="mlx5_0",port="1"} 0\n' in shown


def test_what_programs_hold_by_kind_and_never_one_by_one() -> None:
    held = DeviceResources(
        "mlx5_0",
        {"qp": 3, "mr": 7},
        queue_pairs={("RC", "RTS"): 2, ("GSI", "RTS"): 1},
        bound={(1, "RC", "out_of_sequence"): 5, (1, "RC", "a_name_of_tomorrow"): 6},
    )
    shown = text(rdma_resource_metrics.families([held, DeviceResources("mlx5_1", {"qp": 5000})]))
    assert [line for line in shown.splitlines() if not line.startswith("#")] == [
        'nvtopo_rdma_resources{device="mlx5_0",resource="mr"} 7',
        'nvtopo_rdma_resources{device="mlx5_0",resource="qp"} 3',
        'nvtopo_rdma_resources{device="mlx5_1",resource="qp"} 5000',
        'nvtopo_rdma_queue_pairs{device="mlx5_0",type="GSI",state="RTS"} 1',
        'nvtopo_rdma_queue_pairs{device="mlx5_0",type="RC",state="RTS"} 2',
        'nvtopo_rdma_queue_pair_counters{device="mlx5_0",port="1",type="RC",counter="out_of_sequence"} 5',
    ]
