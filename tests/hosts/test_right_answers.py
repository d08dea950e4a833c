"""What must hold of the machines of ``fixtures/hosts``, worked out by hand from what each machine is.

The files in ``expected/`` say what the program says. This says what is right, and is never written by the program.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import pytest

from nvtopo.model.conclusions import names
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.features import PREFIX, features
from nvtopo.model.records.facts import PcieLink
from nvtopo.sources.capture import read_capture
from tests.hosts.recorded import FIXTURES

Groups = tuple[tuple[int, ...], ...]


def _first(count: int) -> Groups:
    return (tuple(range(count)),)


class Right(NamedTuple):
    """What is right of one machine."""

    gpus: int
    nics: int
    groups: Groups | None = ()
    mesh: bool = True
    """Whether every group is a full mesh."""
    degraded: tuple[int, ...] = ()
    fabric: str = "NotApplicable"
    clique: str | None = None
    """Of the NVLink domain, where the node is in one."""
    ready: str | None = "true"
    complete: bool = True
    nearest: tuple[str | None, ...] = ()
    """The best level of NICs that each GPU has; one for all where they are alike."""
    problems: tuple[str, ...] = ()
    """Their subjects."""
    links: Mapping[str, str] = {}
    """What pairs talk over, by their indices."""
    rates: Mapping[str, int] = {}
    """Bytes per second in one direction of pairs, by their indices."""
    labels: Mapping[str, str | None] = {}
    """Further labels; None for those that must not be there."""


#: No driver answered: nothing is said of GPUs, and least of all zero.
UNKNOWN: Final = {"gpu.count": None, "nvlink.groups": None, "nvlink.degraded": None, "mig": None}
PAIRS: Final[Groups] = ((0, 1), (2, 3), (4, 5), (6, 7))

RIGHT: Final = {
    "h100-sxm-8gpu-8cx7": Right(
        gpus=8, nics=10, groups=_first(8), fabric="SingleNode", nearest=("PIX",), links={"0-7": "NV18"}
    ),
    "gb200-nvl72-tray": Right(gpus=4, nics=5, groups=_first(4), fabric="Attached", clique="2", nearest=("NODE",)),
    "dgx1-v100-cube-mesh": Right(
        gpus=8,
        nics=4,
        groups=_first(8),
        mesh=False,
        nearest=("PIX",),
        links={"0-1": "NV1", "0-3": "NV2", "0-4": "NV2", "0-5": "SYS", "2-6": "NV1", "3-7": "NV1", "6-7": "NV2"},
        labels={"nvlink.version": "2.0", "nvlink.links-per-gpu": "6", "nvlink.domain": None, "rdma.gdr": "peermem"},
    ),
    "dgx2-v100-16gpu": Right(
        gpus=16, nics=8, groups=_first(16), nearest=("PIX",), links={"0-1": "NV6", "0-15": "NV6", "7-8": "NV6"}
    ),
    "hgx-a100-8gpu": Right(
        gpus=8,
        nics=8,
        groups=_first(8),
        nearest=("PIX",),
        links={"0-1": "NV12", "1-7": "NV12"},
        labels={"nvlink.version": "3.1", "nvlink.fabric": None, "numa.gpu-aligned": "true"},
    ),
    "a100-mig-on": Right(
        gpus=8,
        nics=8,
        groups=None,
        complete=False,
        nearest=("PIX",),
        links={"0-1": "PIX", "0-2": "SYS"},
        labels={"mig": "true", "nvlink.groups": None, "nvlink.degraded": None, "nvlink.links-per-gpu": None},
    ),
    "hgx-h200-8gpu": Right(gpus=8, nics=8, groups=_first(8), fabric="SingleNode", nearest=("PIX",)),
    "h100-one-link-down": Right(
        gpus=8,
        nics=4,
        groups=_first(8),
        degraded=(2,),
        fabric="SingleNode",
        ready="false",
        nearest=("PIX",),
        links={"0-2": "NV17", "2-7": "NV17", "0-1": "NV18", "1-3": "NV18"},
        labels={"nvlink.full-mesh": "true", "nvlink.links-per-gpu": "18"},
    ),
    "h100-needs-reset": Right(
        gpus=8, nics=4, groups=_first(8), fabric="SingleNode", ready="false", nearest=("PIX",), links={"0-2": "NV18"}
    ),
    "gb200-fabric-not-supported": Right(
        degraded=(0, 1, 2, 3),
        gpus=4,
        nics=5,
        fabric="Error",
        ready="false",
        nearest=("NODE",),
        labels={"nvlink.degraded": "true"},
    ),
    "h100-gpu-lost": Right(
        gpus=7,
        nics=4,
        groups=((0, 1, 2, 3, 4, 6, 7),),
        fabric="SingleNode",
        ready="false",
        complete=False,
        nearest=("PIX",),
        problems=("0000:8e:00.0", "GPU5"),
        labels={"gpu.count": "7"},
    ),
    "h100-fabric-registering": Right(
        gpus=8,
        nics=4,
        fabric="Registering",
        ready="false",
        nearest=("PIX",),
        links={"0-1": "PIX", "0-2": "NODE", "0-4": "SYS"},
        labels={"nvlink.groups": "0", "nvlink.degraded": None},
    ),
    "h100-links-training": Right(
        gpus=8,
        nics=4,
        groups=None,
        fabric="Registering",
        ready=None,
        complete=False,
        nearest=("PIX",),
        links={"0-1": "PIX"},
        labels={
            "gpu.count": "8",
            "nvlink.degraded": None,
            "nvlink.full-mesh": None,
            "nvlink.fabric": "Registering",
            "nvlink.groups": None,
            "nvlink.links-per-gpu": "18",
        },
    ),
    "h100-no-driver": Right(
        gpus=0, nics=4, groups=None, ready="false", complete=False, problems=("driver",), labels=UNKNOWN
    ),
    "h100-driver-mismatch": Right(
        gpus=0, nics=4, groups=None, ready="false", complete=False, problems=("driver",), labels=UNKNOWN
    ),
    "h100-sriov": Right(gpus=8, nics=4, groups=_first(8), fabric="SingleNode", nearest=("PIX",)),
    "hgx-b200-8gpu": Right(
        gpus=8,
        nics=8,
        groups=_first(8),
        fabric="SingleNode",
        nearest=("PIX",),
        links={"0-7": "NV18"},
        labels={"nvlink.version": "5.0", "nvlink.domain": None},
    ),
    "b200-nvswitch-mgmt-nics": Right(gpus=8, nics=4, groups=_first(8), fabric="SingleNode", nearest=("PIX",)),
    "gb300-nvl72-tray": Right(
        gpus=4,
        nics=5,
        groups=_first(4),
        fabric="Attached",
        clique="32766",
        nearest=("PIX",),
        labels={"pcie.generation": "6"},
    ),
    "gh200-single": Right(
        gpus=1, nics=1, nearest=("NODE",), labels={"nvlink.fabric": None, "nvlink.links-per-gpu": None}
    ),
    "gb200-fabric-unhealthy": Right(
        degraded=(0, 1, 2, 3),
        gpus=4,
        nics=5,
        groups=_first(4),
        fabric="Unhealthy",
        clique="2",
        ready="false",
        nearest=("NODE",),
    ),
    "gb200-mixed-fabric": Right(
        degraded=(3,),
        gpus=4,
        nics=5,
        groups=_first(3),
        fabric="Mixed",
        ready="false",
        nearest=("NODE",),
        links={"0-1": "NV18", "0-3": "SYS", "2-3": "NODE"},
        labels={"nvlink.domain": None},
    ),
    "gb200-insufficient-resources": Right(
        degraded=(0, 1, 2, 3),
        gpus=4,
        nics=5,
        fabric="Error",
        ready="false",
        nearest=("NODE",),
        labels={"nvlink.domain": None},
    ),
    "rubin-36-links": Right(
        gpus=4,
        nics=5,
        groups=_first(4),
        fabric="Attached",
        clique="2",
        nearest=("NODE",),
        links={"0-3": "NV36"},
        labels={"nvlink.version": "6.0", "nvlink.links-per-gpu": "36"},
    ),
    "h100-nvl-pairs": Right(
        gpus=8,
        nics=4,
        groups=PAIRS,
        nearest=("PHB",),
        links={"0-1": "NV12", "1-2": "NODE", "0-7": "SYS"},
        labels={"nvlink.group-size": "2"},
    ),
    "h100-pcie-no-bridges": Right(
        gpus=4, nics=4, nearest=("PHB",), links={"0-1": "PHB"}, labels={"nvlink.groups": "0"}
    ),
    "a800-partial-bridges": Right(
        gpus=8,
        nics=4,
        groups=PAIRS[:3],
        nearest=("PHB",),
        links={"0-1": "NV8", "2-3": "NV6", "4-5": "NV4", "6-7": "PHB"},
    ),
    "l40s-8gpu-pcie": Right(
        gpus=8,
        nics=2,
        nearest=("PIX",),
        links={"0-3": "PIX", "3-4": "SYS"},
        labels={"nvlink.links-per-gpu": None, "nvlink.version": None, "nvlink.degraded": "false"},
    ),
    "t4-single-edge": Right(
        gpus=1, nics=1, nearest=("PHB",), labels={"rdma.link-layer": None, "rdma.mtu": None, "pcie.generation": "3"}
    ),
    "a100-vmd-domain-10000": Right(
        gpus=4, nics=1, groups=PAIRS[:2], nearest=("PHB", "PHB", "SYS", "SYS"), links={"0-1": "NV12"}
    ),
    "mixed-h200-a100-cards": Right(
        gpus=6,
        nics=2,
        groups=((0, 1, 2, 3), (4, 5)),
        nearest=("PHB", "PHB", "NODE", "NODE", "PHB", "PHB"),
        links={"0-3": "NV6", "3-4": "SYS", "4-5": "NV12"},
        # Six links of 26,562 MB/s; twelve of which the slowest has 20,000; sixteen and eight lanes of PCIe 4.
        rates={"0-3": 159_372_000_000, "4-5": 240_000_000_000, "3-4": 31_507_692_304, "3-5": 15_753_846_152},
        labels={
            "nvlink.degraded": "false",
            "nvlink.full-mesh": "true",
            "nvlink.generation": "3",
            "nvlink.group-size": "2",
            "nvlink.groups": "2",
            "nvlink.links-per-gpu": "18",
            "nvlink.version": "3.1",
            "pcie.generation": "4",
            "rdma.mtu": None,
            "rdma.rails": "2",
        },
    ),
    "vm-h100-phb": Right(
        gpus=8, nics=9, groups=_first(8), fabric="SingleNode", nearest=("PHB",), labels={"numa.gpu-aligned": None}
    ),
    "vm-a100-flat-numa-minus-one": Right(gpus=4, nics=1, groups=_first(4), nearest=("PHB",)),
    "vm-h100-domain-per-device": Right(
        gpus=8,
        nics=8,
        groups=_first(8),
        fabric="SingleNode",
        nearest=(None,),
        labels={"numa.gpu-aligned": None, "nic.gpu-locality": None},
    ),
    "laptop-no-gpu": Right(
        gpus=0, nics=1, ready=None, labels={"gpu.count": "0", "nvlink.groups": None, "rdma.link-layer": None}
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_conclusions(name: str) -> None:
    right = RIGHT[name]
    node = assemble(read_capture(FIXTURES / "hosts" / name / "capture.json"))
    derived = derive(node)
    assert (len(node.gpus), len(node.nics)) == (right.gpus, right.nics)
    assert derived.nvlink_groups == right.groups
    assert derived.nvlink_full_mesh == (None if right.groups is None else (right.mesh,) * len(right.groups))
    assert derived.nvlink_degraded == right.degraded
    assert derived.fabric == right.fabric
    assert (derived.nvlink_domain or "").rpartition(".")[2] == (right.clique or "")
    assert derived.complete is right.complete
    assert tuple(problem.subject for problem in derived.problems) == right.problems
    assert [None if found.level is None else found.level.name for found in derived.nearest_nics.values()] == list(
        right.nearest
    ) * (right.gpus // (len(right.nearest) or 1))
    talked_over = {f"{pair.a}-{pair.b}": names.link(pair) for pair in derived.gpu_pairs}
    assert {pair: talked_over[pair] for pair in right.links} == right.links
    rates = {f"{pair.a}-{pair.b}": pair.bytes_per_second for pair in derived.gpu_pairs}
    assert {pair: rates[pair] for pair in right.rates} == right.rates


@pytest.mark.parametrize("name", RIGHT)
def test_labels(name: str) -> None:
    right = RIGHT[name]
    node = assemble(read_capture(FIXTURES / "hosts" / name / "capture.json"))
    labels = features(node, derive(node))
    wanted = {"ready": right.ready, "nic.count": str(right.nics), **right.labels}
    assert {label: labels.get(PREFIX + label) for label in wanted} == wanted


def test_a_width_of_255_is_unknown() -> None:
    capture = read_capture(FIXTURES / "hosts" / "mixed-h200-a100-cards" / "capture.json")
    assert capture.pci is not None
    (disk,) = (device for device in capture.pci.devices if device.driver == "nvme")
    assert disk.link == PcieLink(generation=4, max_generation=4)


def test_every_disk_behind_a_vmd_is_as_far_as_its_host_bridge() -> None:
    node = assemble(read_capture(FIXTURES / "hosts" / "a100-vmd-domain-10000" / "capture.json"))
    assert [disk.pci_address for disk in node.nvmes] == ["10000:01:00.0", "10000:02:00.0", "10001:01:00.0"]
    assert [disk.path.count("pci") for disk in node.nvmes] == [2, 2, 2]
    assert [disk.numa_node for disk in node.nvmes] == [0, 0, 1]


def test_virtual_functions_are_counted_at_their_parents() -> None:
    node = assemble(read_capture(FIXTURES / "hosts" / "h100-sriov" / "capture.json"))
    assert [(nic.name, nic.virtual_functions) for nic in node.nics] == [(f"mlx5_{rail}", 3) for rail in range(4)]


def test_nics_that_manage_nvswitches_are_told_apart_and_left_out() -> None:
    capture = read_capture(FIXTURES / "hosts" / "b200-nvswitch-mgmt-nics" / "capture.json")
    assert capture.rdma is not None
    assert [device.name for device in capture.rdma.devices if device.management] == [f"mlx5_{n}" for n in range(4)]
    assert [nic.name for nic in assemble(capture).nics] == [f"mlx5_{n}" for n in range(4, 8)]


def test_a_board_without_a_rack_has_no_place_in_one() -> None:
    node = assemble(read_capture(FIXTURES / "hosts" / "hgx-b200-8gpu" / "capture.json"))
    places = {(gpu.platform.chassis_serial, gpu.platform.slot, gpu.platform.tray) for gpu in node.gpus if gpu.platform}
    assert places == {(None, None, None)}


def test_a_superchip_has_one_socket_and_its_gpu_s_memory_is_a_node() -> None:
    node = assemble(read_capture(FIXTURES / "hosts" / "gh200-single" / "capture.json"))
    assert [(numa.index, bool(numa.cpus)) for numa in node.numa] == [(0, True), (1, False)]
    (gpu,) = node.gpus
    assert (gpu.numa_node, gpu.memory_numa_node, gpu.c2c_links) == (0, 1, 10)


def test_modules_of_another_version_are_seen() -> None:
    capture = read_capture(FIXTURES / "hosts" / "h100-driver-mismatch" / "capture.json")
    assert capture.host is not None
    assert capture.host.nvidia_module == "570.148.08"
    assert capture.nvml is None


@pytest.mark.parametrize("name", ["vm-h100-phb", "vm-a100-flat-numa-minus-one", "vm-h100-domain-per-device"])
def test_a_guest_says_that_it_is_one(name: str) -> None:
    node = assemble(read_capture(FIXTURES / "hosts" / name / "capture.json"))
    assert node.host.hypervisor
    assert {gpu.numa_node for gpu in node.gpus} == {None}
