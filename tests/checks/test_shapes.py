"""Healthy machines of other shapes than the recorded ones: none of them has a finding above info."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from nvtopo.checks.report import of_node
from nvtopo.model.formats.address import PciAddress
from nvtopo.model.records.facts import GpuUpkeep, HostFacts, NetDevice, PciDevice
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sources.linux import host as host_source
from nvtopo.sources.machine import Machine, NoNvml
from nvtopo.sources.sysfs import SysfsRoot
from tests.checks.recorded import machine_of, snapshot_of
from tests.checks.test_each_check import functions, host, ports, together

H100: Final = "h100-sxm-8gpu-8cx7"
_NIC: Final = "0x02"


def without_nics(snapshot: Snapshot) -> Snapshot:
    assert snapshot.pci is not None
    assert snapshot.net is not None
    kept = tuple(device for device in snapshot.pci.devices if not device.class_code.startswith(_NIC))
    netdevs = tuple(device for device in snapshot.net.devices if device.pci_address is None)
    pci, net = replace(snapshot.pci, devices=kept), replace(snapshot.net, devices=netdevs)
    return replace(snapshot, rdma=None, pci=pci, net=net)


def flat(snapshot: Snapshot) -> Snapshot:
    """A guest without bridges: every function is on the root, and states no NUMA node."""
    return together(
        host(hypervisor=True),
        functions(lambda device: replace(device, path="pci0000:00", numa_node=None, local_cpus=""), lambda _: True),
    )(snapshot)


def virtual_functions(snapshot: Snapshot) -> Snapshot:
    """In a guest the virtual functions of rails, storage and front are of one model."""
    return functions(
        lambda device: replace(device, device="0x101e", link=None), lambda device: device.class_code.startswith(_NIC)
    )(flat(snapshot))


def half_infiniband(snapshot: Snapshot) -> Snapshot:
    names = tuple(f"mlx5_{number}" for number in range(4))
    return ports(lambda port: replace(port, link_layer="InfiniBand", gids=port.gids[:1]), *names)(snapshot)


def one_rail_of_two_ports(snapshot: Snapshot) -> Snapshot:
    """RoCE LAG: the first rail's card has two functions, one bond, and one RDMA device for both."""
    assert snapshot.rdma is not None
    assert snapshot.net is not None
    assert snapshot.pci is not None
    (device,) = (device for device in snapshot.rdma.devices if device.name == "mlx5_0")
    assert device.pci_address is not None
    second = PciAddress(f"{device.pci_address[:-1]}1")
    (netdev,) = (one for one in snapshot.net.devices if one.name in device.netdevs)
    bonded = replace(netdev, master="bond0")
    netdevs = (
        *(bonded if one is netdev else one for one in snapshot.net.devices),
        replace(bonded, name="enp84s0np1", index=91, pci_address=second),
        NetDevice(name="bond0", index=92, mtu_bytes=9000, kind="bond", lower=(netdev.name, "enp84s0np1")),
    )
    devices: list[PciDevice] = [*snapshot.pci.devices]
    devices += [replace(one, address=second) for one in devices if one.address == device.pci_address]
    rdma = tuple(replace(one, name="mlx5_bond_0") if one is device else one for one in snapshot.rdma.devices)
    return replace(
        snapshot,
        rdma=replace(snapshot.rdma, devices=rdma),
        net=replace(snapshot.net, devices=netdevs),
        pci=replace(snapshot.pci, devices=tuple(devices)),
    )


def spark(snapshot: Snapshot) -> Snapshot:
    """One GPU without NVLink, whose memory is the host's: the driver has no size of it, and no ECC."""
    assert snapshot.nvml is not None
    upkeep = GpuUpkeep(persistence=True, ecc=None, ecc_pending=None, uncorrected_errors=None, links=None)
    (gpu,) = snapshot.nvml.gpus
    made = replace(gpu, name="NVIDIA GB10", memory_bytes=None, nvlinks=(), nvlink_count=None, upkeep=upkeep)
    return replace(snapshot, nvml=replace(snapshot.nvml, gpus=(replace(made, fabric=None, c2c_links=None),)))


def virtual_gpu(snapshot: Snapshot) -> Snapshot:
    """A guest with a slice of one GPU, which has no link, no fabric and no place on a board."""
    assert snapshot.nvml is not None
    assert snapshot.pci is not None
    gpu = replace(
        snapshot.nvml.gpus[0], name="NVIDIA A100-40C", nvlinks=(), nvlink_count=None, link=None, module_id=None
    )
    made = replace(gpu, fabric=None, upkeep=None)
    kept = tuple(
        device
        for device in snapshot.pci.devices
        if device.address == gpu.pci_address or not device.class_code.startswith(("0x0302", "0x0680"))
    )
    nvml, pci = replace(snapshot.nvml, gpus=(made,), pairs=()), replace(snapshot.pci, devices=kept)
    return flat(without_nics(replace(snapshot, nvml=nvml, pci=pci)))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (H100, without_nics),
        ("hgx-h200-8gpu", without_nics),
        ("hgx-a100-8gpu", without_nics),
        ("gb200-nvl72-tray", without_nics),
        ("l40s-8gpu-pcie", without_nics),
        ("gh200-single", without_nics),
        (H100, flat),
        (H100, virtual_functions),
        (H100, half_infiniband),
        (H100, one_rail_of_two_ports),
        ("gh200-single", spark),
        ("hgx-a100-8gpu", virtual_gpu),
    ],
)
def test_a_healthy_machine_of_another_shape_is_ready(name: str, change: Callable[[Snapshot], Snapshot]) -> None:
    report = of_node(machine_of(change(snapshot_of(name))))
    assert [(one.id, one.evidence) for one in report.findings if one.severity != "info"] == []
    assert report.verdict == "ready"


@pytest.mark.parametrize("change", [virtual_functions, half_infiniband, one_rail_of_two_ports])
def test_its_rails_are_the_eight_beside_the_gpus(change: Callable[[Snapshot], Snapshot]) -> None:
    rails = machine_of(change(snapshot_of(H100))).derived.rails
    assert len(rails) == 8
    assert not {"mlx5_8", "mlx5_9", "enp84s0np1"} & rails.keys()


@pytest.mark.parametrize(
    ("cpu", "vendor", "product", "is_guest"),
    [
        ("processor\t: 0\nflags\t\t: fpu vme hypervisor", "Synthetic", "", True),
        ("processor\t: 0\nflags\t\t: fpu vme", "Amazon EC2", "p5.48xlarge", False),
        ("processor\t: 0\nFeatures\t: fp asimd", "QEMU", "KVM Virtual Machine", True),
        ("processor\t: 0\nFeatures\t: fp asimd", "Microsoft Corporation", "Virtual Machine", True),
        ("processor\t: 0\nFeatures\t: fp asimd", "Amazon EC2", "p6e-gb200.36xlarge", True),
        ("processor\t: 0\nFeatures\t: fp asimd", "Amazon EC2", "c7g.metal", False),
        ("processor\t: 0\nFeatures\t: fp asimd", "NVIDIA", "GB200 NVL", False),
    ],
)
def test_a_guest_is_told_by_its_cpu_or_on_arm_by_its_firmware(
    cpu: str, vendor: str, product: str, is_guest: bool, tmp_path: Path
) -> None:
    names = tmp_path / "sys/class/dmi/id"
    names.mkdir(parents=True)
    (names / "sys_vendor").write_text(f"{vendor}\n", encoding="utf-8")
    (names / "product_name").write_text(f"{product}\n", encoding="utf-8")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(f"{cpu}\n\nprocessor\t: 1\n", encoding="utf-8")
    facts = host_source.read(Machine(root=SysfsRoot(str(tmp_path)), nvml=NoNvml())).facts
    assert isinstance(facts, HostFacts)
    assert facts.hypervisor is is_guest
