"""What could not be read is said to be unknown: it is no other value, and no check passes for the lack of it."""

import errno
import re
from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from nvtopo.checks.report import NodeReport, of_node
from nvtopo.model.records.record import Problem
from nvtopo.model.records.snapshot import Snapshot
from tests.checks.recorded import machine_of
from tests.checks.test_each_check import (
    Mutation,
    functions,
    good,
    gpus,
    kubelet,
    memory,
    mounted,
    numa,
    rdma,
    together,
    unread,
)
from tests.hosts.recorded import FIXTURES, snapshot_of

HOST: Final = FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7"
DENIED: Final = errno.errorcode[errno.EACCES]
GPU0: Final = "0000:53:00.0"


def denied(name: str) -> NodeReport:
    """The machine, on which no file of that name may be read."""
    text = (HOST / "sys.txt").read_text(encoding="utf-8")
    hidden, count = re.subn(rf"(?m)^(\S*/{re.escape(name)}) =x?.*$", rf"\1 ! {DENIED}", text)
    assert count
    return of_node(machine_of(snapshot_of(hidden, HOST / "nvml.json")))


def reported(*mutations: Mutation) -> NodeReport:
    return of_node(machine_of(together(*mutations)(good())))


def problems(source: str, *subjects: str) -> Mutation:
    made = tuple(Problem(source=source, subject=one, reason="Permission denied") for one in subjects)

    def mutate(snapshot: Snapshot) -> Snapshot:
        return replace(snapshot, problems=(*snapshot.problems, *made))

    return mutate


def outcomes(report: NodeReport, names: Iterable[str]) -> set[str]:
    return {report.checks[name] for name in names}


#: What asks which NUMA nodes the GPUs are near.
NEAR_CHECKS: Final = (
    "numa-memory-missing",
    "numa-memory-reserved",
    "gpu-cpus-isolated",
    "gpu-cpus-reserved",
    "topology-not-aligned",
    "topology-hint-missing",
    "nvme-far",
    "mount-far",
)


def test_a_numa_node_that_may_not_be_read_is_not_minus_one() -> None:
    report = denied("numa_node")
    assert [one for one in report.findings if "NUMA" in one.evidence] == []
    assert outcomes(report, ("gpu-numa-missing", "numa-memory-missing")) == {"unknown"}


def test_cpus_that_may_not_be_read_leave_it_open_whether_there_are_several_numa_nodes() -> None:
    assert outcomes(denied("cpulist"), ("numa-balancing-on", "numa-memory-missing")) == {"unknown"}


def test_a_gpu_whose_numa_node_is_unknown_leaves_open_what_is_near() -> None:
    report = reported(
        memory(1 << 39, 0),
        kubelet(
            memory_manager_policy="Static",
            cpu_manager_policy="static",
            reserved_cpus="0-3",
            topology_manager_policy="restricted",
        ),
        mounted("enp42s0f0np0"),
        numa(isolated_cpus="4-7"),
        functions(lambda device: replace(device, numa_node=None), lambda device: device.address == GPU0),
        unread("pci", f"/sys/bus/pci/devices/{GPU0}/numa_node"),
    )
    assert outcomes(report, NEAR_CHECKS) == {"unknown"}


def test_an_iommu_group_whose_type_may_not_be_read_may_translate() -> None:
    assert denied("type").checks["iommu-translates"] == "unknown"


def test_a_driver_whose_version_may_not_be_read_may_be_the_open_one() -> None:
    report = denied("version")
    assert (report.checks["gpudirect-rdma-missing"], report.checks["driver-versions-differ"]) == ("unknown", "unknown")


def test_a_port_whose_state_may_not_be_read_is_said() -> None:
    path = "/sys/class/infiniband/mlx5_3/ports/1/state"
    report = reported(
        rdma(lambda device: replace(device, ports=tuple(replace(port, state="") for port in device.ports)), "mlx5_3"),
        unread("rdma", path),
    )
    assert [one.reason for one in report.unknown if one.subject == "mlx5_3/1" and one.id == "rail-rate-low"] == [
        "whether the port is active is not shown"
    ]


def test_an_mtu_that_may_not_be_read_is_no_lack_of_a_netdev() -> None:
    reasons = {one.reason for one in denied("mtu").unknown if one.id == "rail-mtu-small"}
    assert reasons == {"the MTU of its netdev is not shown"}


def test_another_file_of_an_rdma_device_says_nothing_of_its_gids() -> None:
    report = reported(problems("rdma", "/sys/class/infiniband/mlx5_3/board_id", "/sys/class/infiniband/mlx5_30/1/gids"))
    assert outcomes(report, ("roce-gid-missing", "roce-gid-indices-differ")) == {"passed"}


def test_a_link_layer_that_may_not_be_read_may_be_ethernet() -> None:
    assert denied("link_layer").checks["roce-gid-missing"] == "unknown"


def test_what_one_of_several_does_not_state_may_differ() -> None:
    report = reported(
        gpus(lambda gpu: replace(gpu, vbios=None), 4), rdma(lambda device: replace(device, firmware=""), "mlx5_3")
    )
    assert outcomes(report, ("gpu-vbios-differs", "rail-firmware-differs")) == {"unknown"}
    assert {one.subject for one in report.unknown if one.id == "gpu-vbios-differs"} == {"GPU4"}
    assert {one.subject for one in report.unknown if one.id == "rail-firmware-differs"} == {"mlx5_3"}
