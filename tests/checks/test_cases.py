"""The cluster-side cases about health: what doctor says of such a machine is their right answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from msgspec.structs import replace

from nvtopo.checks.check import Machine
from nvtopo.checks.report import of_node
from nvtopo.model.records.facts import GpuFabric
from nvtopo.model.records.snapshot import Snapshot
from tests.checks.recorded import machine_of, snapshot_of

CASES: Final = Path(__file__).resolve().parents[3] / "shared" / "cases" / "second" / "cluster"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the cases of others are not here")


def case(name: str) -> dict[str, Any]:
    (file,) = CASES.glob(f"{name}-*.json")
    found: dict[str, Any] = msgspec.json.decode(file.read_bytes())
    return found


def _gpus(snapshot: Snapshot, **facts: Any) -> Snapshot:
    assert snapshot.nvml is not None
    gpus = tuple(replace(gpu, **facts) for gpu in snapshot.nvml.gpus)
    return replace(snapshot, nvml=replace(snapshot.nvml, gpus=gpus))


def _one_node_domain(given: dict[str, Any]) -> Machine:
    fabric = GpuFabric(state="completed", status=0, cluster_uuid=given["fabric_cluster_uuid"], clique_id=0)
    machine = machine_of(_gpus(snapshot_of("h100-sxm-8gpu-8cx7"), fabric=fabric))
    assert len(machine.node.gpus) == given["gpus"]
    return machine


def _grace_hopper(given: dict[str, Any]) -> Machine:
    machine = machine_of(_gpus(snapshot_of("gh200-single"), name=given["product"]))
    assert len(machine.node.nvswitches) == given["nvswitch"]
    return machine


def _software_device(given: dict[str, Any]) -> Machine:
    snapshot = snapshot_of("h100-sxm-8gpu-8cx7")
    assert snapshot.rdma is not None
    hardware, software = given["rdma"]
    devices = [device for device in snapshot.rdma.devices if device.name == hardware]
    devices.append(replace(devices[0], name=software, pci_address=None, netdevs=("eth0",), firmware=""))
    others = [device for device in snapshot.rdma.devices if device.name != hardware]
    return machine_of(replace(snapshot, rdma=replace(snapshot.rdma, devices=(*devices, *others))))


@pytest.mark.parametrize(
    ("name", "made"), [("h01", _one_node_domain), ("h03", _grace_hopper), ("h06", _software_device)]
)
def test_such_a_machine_is_ready_without_a_finding(name: str, made: Callable[[dict[str, Any]], Machine]) -> None:
    machine = made(case(name)["input"])
    report = of_node(machine)
    assert (report.verdict, report.findings) == ("ready", ())
    assert machine.derived.rails


def test_the_software_device_is_listed_and_is_no_rail() -> None:
    machine = _software_device(case("h06")["input"])
    assert "siw_eth0" in {nic.name for nic in machine.node.nics}
    assert "siw_eth0" not in machine.derived.rails
