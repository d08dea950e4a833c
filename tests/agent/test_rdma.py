"""RDMA ports at the scrape: a device that hangs, goes, refuses or manages a board, beside others that do not."""

import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nvtopo.agent.parts import rdma
from nvtopo.agent.parts.rdma import RdmaKernel, RdmaPorts
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.records.node import NodeTopology
from nvtopo.sinks.metrics import rdma as rdma_metrics
from nvtopo.sinks.metrics.series import text
from nvtopo.sources.capture import parse_capture
from nvtopo.sources.rdma import netlink_rdma as rdma_netlink
from nvtopo.sources.sysfs import SysfsRoot
from tests.hosts.recorded import FIXTURES
from tests.machines import sysfs_text


class Root(SysfsRoot):
    """A recorded machine some of whose files keep their reader until they are let go."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self.hangs = ""
        self.let_go = threading.Event()
        self.asked: list[str] = []

    def read(self, path: str, *, head: bool = False) -> bytes:
        self.asked.append(path)
        if self.hangs and path.startswith(self.hangs):
            self.let_go.wait(60)
        return super().read(path, head=head)


def machine(name: str, folder: Path) -> tuple[Root, NodeTopology]:
    """A machine of ``fixtures/hosts``: its RDMA files, and what an earlier reading made of it."""
    host = FIXTURES / "hosts" / name
    lines = [line for line in (host / "sys.txt").read_text().splitlines() if "/infiniband/" in line]
    sysfs_text.unpack("\n".join(lines), folder)
    return Root(folder), assemble(parse_capture((host / "capture.json").read_bytes(), name))


@pytest.fixture
def h100(tmp_path: Path) -> Iterator[tuple[Root, NodeTopology]]:
    root, node = machine("h100-sxm-8gpu-8cx7", tmp_path)
    yield root, node
    root.let_go.set()


def page(ports: RdmaPorts, node: NodeTopology) -> str:
    return text(rdma_metrics.families(ports.read(rdma.named(node)), node))


def lines_of(page: str, device: str) -> list[str]:
    return [line for line in page.splitlines() if f'device="{device}"' in line]


def test_every_nic_is_on_the_page(h100: tuple[Root, NodeTopology]) -> None:
    root, node = h100
    shown = page(RdmaPorts(root, traffic=True), node)
    assert {line.split('"')[1] for line in shown.splitlines() if "port_active{" in line} == {
        nic.name for nic in node.nics if nic.ports
    }
    assert 'nvtopo_rdma_port_gid_index{device="mlx5_0",port="1"} 3' in shown


@pytest.mark.slow
def test_a_device_that_hangs_costs_one_wait_and_its_own_series(h100: tuple[Root, NodeTopology]) -> None:
    root, node = h100
    ports = RdmaPorts(root, traffic=True, patience_seconds=0.5)
    whole = page(ports, node)
    root.hangs = "/sys/class/infiniband/mlx5_3/ports/1/hw_counters/out_of_sequence"
    assert lines_of(page(ports, node), "mlx5_3") == [
        'nvtopo_rdma_problem{device="mlx5_3",reason="hang"} 1',
        'nvtopo_rdma_problem{device="mlx5_3",reason="unreadable"} 0',
        'nvtopo_rdma_problem{device="mlx5_3",reason="saturated"} 0',
    ]
    began, asked = time.monotonic(), root.asked.count(root.hangs)
    for _ in range(20):
        assert len(lines_of(page(ports, node), "mlx5_4")) == len(lines_of(whole, "mlx5_4"))
    assert time.monotonic() - began < 20 * 0.5, "later scrapes do not wait"
    assert root.asked.count(root.hangs) == asked, "and do not ask"
    root.hangs = ""
    root.let_go.set()
    deadline = time.monotonic() + 60
    while lines_of(page(ports, node), "mlx5_3") != lines_of(whole, "mlx5_3"):
        assert time.monotonic() < deadline


def test_a_device_that_is_gone_has_no_series(h100: tuple[Root, NodeTopology], tmp_path: Path) -> None:
    root, node = h100
    (device,) = (tmp_path / "sys/devices").glob("**/infiniband/mlx5_3")
    shutil.rmtree(device)
    shown = page(RdmaPorts(root, traffic=True), node)
    assert not lines_of(shown, "mlx5_3")
    assert lines_of(shown, "mlx5_4")


def test_without_traffic_nothing_of_it_is_read(h100: tuple[Root, NodeTopology]) -> None:
    root, node = h100
    shown = page(RdmaPorts(root, traffic=False), node)
    assert "nvtopo_rdma_port_data" not in shown
    assert "nvtopo_rdma_port_packets" not in shown
    assert not [path for path in root.asked if "/port_" in path and path.endswith(("_data", "_packets"))]
    assert "nvtopo_rdma_cnp_packets_sent_total" in shown


def test_a_counter_at_its_end_is_a_problem_and_no_number(h100: tuple[Root, NodeTopology], tmp_path: Path) -> None:
    root, node = h100
    (file,) = (tmp_path / "sys/devices").glob("**/infiniband/mlx5_3/ports/1/counters/link_downed")
    file.write_text("255\n")
    shown = page(RdmaPorts(root, traffic=True), node)
    assert not [line for line in lines_of(shown, "mlx5_3") if line.startswith("nvtopo_rdma_link_downed")]
    assert 'nvtopo_rdma_problem{device="mlx5_3",reason="saturated"} 1' in shown


def test_what_manages_the_board_is_not_even_asked(tmp_path: Path) -> None:
    root, node = machine("b200-nvswitch-mgmt-nics", tmp_path)
    shown = page(RdmaPorts(root, traffic=True), node)
    everyone = {path.name for path in (tmp_path / "sys/class/infiniband").iterdir()}
    nics = set(rdma.named(node))
    assert len(everyone - nics) == 4
    assert {path.split("/")[4] for path in root.asked} == nics
    assert not [device for device in everyone - nics if lines_of(shown, device)]


def test_scrapes_that_come_together_each_get_the_whole_page(h100: tuple[Root, NodeTopology]) -> None:
    root, node = h100
    ports = RdmaPorts(root, traffic=True)
    with ThreadPoolExecutor(4) as pool:
        pages = list(pool.map(lambda _: page(ports, node), range(8)))
    without_time = {shown.partition("# HELP nvtopo_rdma_read_duration")[0] for shown in pages}
    assert len(without_time) == 1


def test_without_an_observation_there_is_nothing(h100: tuple[Root, NodeTopology]) -> None:
    assert not list(rdma.part(h100[0], lambda: None)())


def test_a_kernel_without_rdma_holds_nothing() -> None:
    assert (RdmaKernel(queue_pairs=True).read() is None) == (not Path("/sys/class/infiniband").exists())


def test_a_kernel_that_hangs_is_not_waited_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(rdma_netlink, "read", lambda _seconds, *, queue_pairs: over.wait(60) and queue_pairs)
    kernel = RdmaKernel(queue_pairs=False, patience_seconds=0.2)
    try:
        began = time.monotonic()
        assert [kernel.read() for _ in range(20)] == [None] * 20
        assert time.monotonic() - began < 20 * 0.2
    finally:
        over.set()
