"""An embedded switch's representors, from files: a BlueField's Arm side, a host in switchdev mode, and plain NICs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.records.node import Nic
from nvtopo.sources import reading
from nvtopo.sources.machine import Machine, NoNvml
from nvtopo.sources.sysfs import SysfsRoot

FUNCTION: Final = "sys/devices/pci0000:00/0000:00:00.0/0000:03:00.0"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One ConnectX function with RDMA, and nothing else."""
    function = tmp_path / FUNCTION
    (function / "infiniband/mlx5_0/ports/1").mkdir(parents=True)
    (function / "infiniband/mlx5_0/ports/1/state").write_text("4: ACTIVE\n")
    for name, value in {"class": "0x020000", "vendor": "0x15b3", "device": "0xa2dc"}.items():
        (function / name).write_text(f"{value}\n")
    for folder in ("sys/bus/pci/devices", "sys/class/net", "sys/class/infiniband"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "sys/bus/pci/devices/0000:03:00.0").symlink_to(f"../../../../{FUNCTION.removeprefix('sys/')}")
    target = f"../../{FUNCTION.removeprefix('sys/')}/infiniband/mlx5_0"
    (tmp_path / "sys/class/infiniband/mlx5_0").symlink_to(target)
    (function / "infiniband/mlx5_0/device").symlink_to("../..")
    return tmp_path


def nic(root: Path, netdevs: Mapping[str, Mapping[str, str]]) -> Nic:
    """The NIC with these network devices: name → file → text."""
    for index, (name, files) in enumerate(netdevs.items(), 1):
        folder = root / FUNCTION / "net" / name
        folder.mkdir(parents=True)
        (folder / "device").symlink_to("../..")
        for file, text in {"ifindex": str(index), "mtu": "1500", **files}.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(f"{text}\n")
        (root / "sys/class/net" / name).symlink_to(f"../../{FUNCTION.removeprefix('sys/')}/net/{name}")
    node = assemble(reading.read(Machine(root=SysfsRoot(str(root)), nvml=NoNvml())))
    assert [problem for problem in node.problems if problem.source in ("net", "rdma", "pci")] == []
    (found,) = node.nics
    return found


def port(name: str, **files: str) -> dict[str, str]:
    return {"phys_switch_id": "0a1b2c0003fe", "phys_port_name": name, **files}


def test_the_arm_side_of_a_bluefield(root: Path) -> None:
    found = nic(root, {"pf0hpf": port("pf0hpf"), "p0": port("p0", mtu="9000"), "en3f0pf0sf0": port("pf0sf0")})
    assert (found.dpu_mode, found.representors, found.netdevs, found.mtu_bytes) == ("dpu", 2, ("p0",), 9000)


def test_the_same_by_the_names_of_a_kernel_without_the_driver_package(root: Path) -> None:
    found = nic(root, {"p0": port("p0"), "eth1": port("c1pf0"), "eth2": port("c1pf0vf1")})
    assert (found.dpu_mode, found.representors, found.netdevs) == ("dpu", 2, ("p0",))


def test_a_host_in_switchdev_mode_is_no_dpu(root: Path) -> None:
    mode = {"compat/devlink/mode": "switchdev"}
    found = nic(root, {"enp3s0f0r0": port("pf0vf0"), "enp3s0f0np0": port("p0", **mode), "enp3s0f0r1": port("pf0vf1")})
    assert (found.dpu_mode, found.eswitch_mode, found.representors) == ("", "switchdev", 2)
    assert found.netdevs == ("enp3s0f0np0",)


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"phys_port_name": "p0"}, id="a plain port"),
        pytest.param({"phys_port_name": "pf0vf3"}, id="a virtual function's own device: no switch"),
        pytest.param({}, id="a driver that does not say"),
        pytest.param(port("swp1"), id="another switch's port"),
    ],
)
def test_what_is_no_representor(root: Path, files: dict[str, str]) -> None:
    found = nic(root, {"eth0": files})
    assert (found.netdevs, found.representors, found.dpu_mode, found.eswitch_mode) == (("eth0",), 0, "", "")
