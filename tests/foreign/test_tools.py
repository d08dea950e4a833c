"""Readers of tools of NICs, NUMA, PCI and NCCL: what each says of an invented machine, and where it is cut."""

import pytest

from nvtopo.errors import ParseError
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.records.node import NodeTopology
from nvtopo.sinks.document import derived as document
from nvtopo.sinks.document.derived import DerivedDocument
from nvtopo.sources.foreign.recognise import read_foreign, read_hosts
from tests.foreign import samples, samples_tools
from tests.foreign.samples import matrix, switched


def read(content: bytes | str) -> NodeTopology:
    return read_foreign(content.encode() if isinstance(content, str) else content, "input")


def drawn(node: NodeTopology) -> DerivedDocument:
    return document.of(derive(node))


def reasons(node: NodeTopology) -> str:
    return "; ".join(problem.reason for problem in node.problems)


def test_ibv_devinfo() -> None:
    node = read(samples_tools.ibv_devinfo())
    port = node.nics[0].ports[0]
    assert [nic.name for nic in node.nics] == ["mlx5_0", "mlx5_1"]
    assert (port.number, port.state, port.link_layer, port.active_mtu_bytes) == (1, "ACTIVE", "Ethernet", 1024)
    assert port.rate_bytes_per_second == 400 * 125_000_000
    assert "the input is cut" in reasons(read(samples_tools.ibv_devinfo().replace(b"\t\tport:\t1\n", b"", 1)))


def test_ibdev2netdev() -> None:
    node = read(samples_tools.ibdev2netdev())
    assert [(nic.name, nic.netdevs, nic.operstate) for nic in node.nics] == [
        ("mlx5_0", ("ens1np0",), "up"),
        ("mlx5_1", ("ib1",), "down"),
    ]
    assert node.nics[1].ports[0].state == ""
    long = read(samples_tools.ibdev2netdev_v())
    assert [(nic.pci_address, nic.ports[0].state) for nic in long.nics] == [
        ("0000:18:00.0", "ACTIVE"),
        ("0000:29:00.0", "DOWN"),
    ]


def test_rdma_link() -> None:
    node = read(samples_tools.rdma_link())
    assert [(nic.netdevs, nic.ports[0].state, nic.ports[0].link_layer) for nic in node.nics] == [
        ((), "ACTIVE", "InfiniBand"),
        (("ens2np0",), "DOWN", "Ethernet"),
    ]


def test_show_gids() -> None:
    node = read(samples_tools.show_gids())
    assert (node.nics[0].ports[0].gid_index, node.nics[0].netdevs) == (3, ("ens1np0",))
    assert "the input is cut" in reasons(read(samples_tools.show_gids().replace(b"found=4", b"found=9")))


def test_numactl() -> None:
    node = read(samples_tools.numactl())
    assert [(numa.index, numa.cpus, numa.memory_bytes, numa.distances) for numa in node.numa] == [
        (0, "0,2,4,6", 1 << 30, (10, 21)),
        (1, "1,3,5,7", 2 << 30, (21, 10)),
    ]
    text = samples_tools.numactl().decode()
    assert "the input is cut" in reasons(read(text[: text.index("node 1 cpus")]))


def test_lspci_tree() -> None:
    node = read(samples_tools.lspci_tree())
    assert [(gpu.pci_address, gpu.path, gpu.name) for gpu in node.gpus] == [
        ("0000:01:00.0", "pci0000:00/0000:00:01.0", ""),
        ("0000:43:00.0", "pci0000:40/0000:40:01.0/0000:41:00.0/0000:42:00.0", "Invented"),
    ]
    assert [nic.pci_address for nic in node.nics] == ["0000:44:00.0"]
    assert [nvme.pci_address for nvme in node.nvmes] == ["0000:02:00.0"]
    assert drawn(node).nearest_nics["GPU1"].level == "PIX"


def test_a_tree_without_names_is_refused() -> None:
    with pytest.raises(ParseError):
        read("-[0000:00]-+-00.0\n           \\-01.0-[01]----00.0\n")


def test_lstopo() -> None:
    node = read(samples_tools.lstopo())
    assert [(gpu.index, gpu.pci_address, gpu.numa_node) for gpu in node.gpus] == [
        (0, "0000:17:00.0", 0),
        (1, "0000:97:00.0", 1),
    ]
    assert [(numa.index, numa.cpus, numa.memory_bytes) for numa in node.numa] == [
        (0, "0,4", 8 << 30),
        (1, "2", 16 << 30),
    ]
    found = drawn(node).nearest_nics
    assert (found["GPU0"].level, found["GPU0"].nics) == ("PXB", ("mlx5_0",))
    assert (found["GPU1"].level, found["GPU1"].nics) == ("PHB", ("eno1",))
    assert node.nics[0].netdevs == ("ib0",)
    assert drawn(node).gpu_pairs[0].link == "SYS"


def test_nccl_log() -> None:
    node = read(samples_tools.nccl_log())
    assert [(gpu.index, gpu.pci_address, gpu.numa_node) for gpu in node.gpus] == [
        (0, "0000:16:00.0", 0),
        (1, "0000:97:00.0", 1),
    ]
    assert [(nic.name, nic.ports[0].link_layer) for nic in node.nics] == [
        ("mlx5_0", "InfiniBand"),
        ("mlx5_1", "Ethernet"),
    ]
    assert drawn(node).nearest_nics["GPU0"].nics == ("mlx5_0",)
    assert derive(node).nvlink_groups is None


def test_nccl_log_of_several_hosts() -> None:
    text = samples_tools.nccl_log().decode()
    found = read_hosts((text + text.replace("n-1:", "n-2:")).encode(), "input")
    assert [(host.name, len(host.node.gpus)) for host in found] == [("n-1", 2), ("n-2", 2)]


@pytest.mark.parametrize(
    ("words", "level"),
    [
        ("a single PCIe switch", "PIX"),
        ("an internal link", "PIX"),
        ("multiple PCIe switches", "PXB"),
        ("potentially multiple PCIe switches", "PXB"),
        ("a PCIe host bridge", "PHB"),
        ("an interconnect between PCIe host bridges within a NUMA node", "NODE"),
        ("an SMP interconnect link between NUMA nodes", "SYS"),
        ("something new", None),
    ],
)
def test_the_way_between_two_gpus(words: str, level: str | None) -> None:
    node = read(f"Device 1 is connected to device 0 by way of {words}.\n")
    found = drawn(node)
    assert found.gpu_pairs[0].link == level
    assert found.nvlink_groups is None
    assert "gpus" in node.unseen


def test_fabric_states_without_their_gpus() -> None:
    node = read(samples_tools.fabric())
    assert [gpu.fabric.status if gpu.fabric else None for gpu in node.gpus] == [0, 999]
    assert "gpus" in node.unseen
    assert derive(node).health.ready is False


def test_a_matrix_gets_what_other_tools_know() -> None:
    text = matrix(*switched(2, 2)) + "\nNIC Legend:\n\n  NIC0: mlx5_0\n  NIC1: mlx5_1\n"
    tools = (
        samples_tools.ibv_devinfo(),
        samples_tools.ibdev2netdev_v(),
        samples_tools.numactl(),
        samples_tools.show_gids(),
        samples.nvlink(),
    )
    node = read(text.encode() + b"\n".join(tools))
    assert [gpu.name for gpu in node.gpus] == ["invented", "invented"]
    assert [nic.pci_address for nic in node.nics] == ["0000:18:00.0", "0000:29:00.0"]
    assert [nic.ports[0].active_mtu_bytes for nic in node.nics] == [1024, 1024]
    assert node.nics[0].ports[0].gid_index == 3
    assert [numa.cpus for numa in node.numa] == ["0,2,4,6", "1,3,5,7"]
    assert derive(node).nvlink_groups == ((0, 1),)
