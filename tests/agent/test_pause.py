import errno
import threading
import time

import pytest

from nvtopo.agent.parts import pause
from nvtopo.agent.parts.pause import PauseStatistics
from nvtopo.model.records.node import Nic, NicPort, NodeTopology
from nvtopo.sinks.metrics import pause as pause_metrics
from nvtopo.sinks.metrics.series import text
from nvtopo.sources.linux.ethtool_statistics import EthtoolStatistics
from nvtopo.sources.sysfs import SysfsRoot

ROCE = NicPort(number=1, link_layer="Ethernet")
NODE = NodeTopology(
    nics=(
        Nic(name="mlx5_0", netdevs=("enp1s0np0", "enp1s0npf0vf0"), ports=(ROCE,)),
        Nic(name="mlx5_1", netdevs=("ibp2s0",), ports=(NicPort(number=1, link_layer="InfiniBand"),)),
        Nic(name="eth0", netdevs=("eth0",)),
        Nic(name="mlx5_2", ports=(ROCE,)),
    )
)


def test_roce_ports_by_their_uplink() -> None:
    assert pause.netdevs(NODE) == {("mlx5_0", "1"): "enp1s0np0"}


def test_pause_by_priority_in_frames_and_seconds() -> None:
    statistics = {"rx_prio3_pause": 7, "tx_prio3_pause": 1, "rx_prio3_pause_duration": 1_500_000, "rx_global_pause": 0}
    shown = text(pause_metrics.families({("mlx5_0", "1"): statistics}))
    assert [line for line in shown.splitlines() if not line.startswith("#")] == [
        "nvtopo_rdma_ethtool_up 1",
        'nvtopo_rdma_pause_frames_received_total{device="mlx5_0",port="1",priority="3"} 7',
        'nvtopo_rdma_pause_frames_received_total{device="mlx5_0",port="1",priority="all"} 0',
        'nvtopo_rdma_pause_frames_transmitted_total{device="mlx5_0",port="1",priority="3"} 1',
        'nvtopo_rdma_pause_received_seconds_total{device="mlx5_0",port="1",priority="3"} 1.5',
    ]


def test_this_machine_s_devices_answer_or_are_left_out() -> None:
    read = PauseStatistics().read({("mlx5_0", "1"): "lo", ("mlx5_1", "1"): "nowhere0"})
    assert read == {("mlx5_0", "1"): {}, ("mlx5_1", "1"): {}}


def test_a_kernel_that_hangs_is_waited_for_once_and_has_no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hang(_self: EthtoolStatistics, _netdev: str) -> dict[str, int]:
        over.wait(60)
        return {}

    monkeypatch.setattr(EthtoolStatistics, "read", hang)
    statistics = PauseStatistics(patience_seconds=0.2)
    try:
        began = time.monotonic()
        assert [statistics.read({("mlx5_0", "1"): "lo"}) for _ in range(20)] == [None] * 20
        assert time.monotonic() - began < 20 * 0.2
    finally:
        over.set()
    assert "nvtopo_rdma_ethtool_up 0\n" in text(pause_metrics.families(None))


def test_a_kernel_that_refuses_has_no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: EthtoolStatistics, _netdev: str) -> dict[str, int]:
        raise OSError(errno.EPERM, "no")

    monkeypatch.setattr(EthtoolStatistics, "read", refuse)
    assert PauseStatistics().read({("mlx5_0", "1"): "lo"}) is None


def test_a_recorded_machine_has_no_kernel_to_ask(tmp_path: object) -> None:
    assert not list(pause.part(SysfsRoot(str(tmp_path)), lambda: None)())
