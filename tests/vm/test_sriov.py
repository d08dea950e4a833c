"""Virtual functions of an SR-IOV NIC (QEMU's igb): one NIC that has them, not many NICs."""

import json
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.vm import layout
from tests.vm.fixtures import Fresh
from tests.vm.machine import Vm

pytestmark = pytest.mark.vm

PARENT: Final = layout.places()["sriov0"]
ENABLED: Final = 2


@pytest.fixture(scope="module", autouse=True)
def enabled(vm: Vm) -> Iterator[None]:
    """Two virtual functions, each with a netdev of its own."""
    number = f"/sys/bus/pci/devices/{PARENT.address}/sriov_numvfs"
    vm.run("sh", "-c", f"echo {ENABLED} > {number} && udevadm settle -t 30")
    deadline = time.monotonic() + 30
    while len(vf_netdevs(vm)) < ENABLED:
        assert time.monotonic() < deadline, "virtual functions have no netdevs"
        time.sleep(0.3)
    yield
    vm.run("sh", "-c", f"echo 0 > {number} && udevadm settle -t 30")


def vf_netdevs(vm: Vm) -> list[str]:
    return vm.run("sh", "-c", f"cd /sys/bus/pci/devices/{PARENT.address} && ls virtfn*/net | grep -v :").output.split()


@pytest.fixture(scope="module")
def document(vm: Vm, enabled: None) -> Any:
    assert enabled is None
    return vm.json("nvtopo", "dump", "--format", "json")


def test_the_nic_says_how_many_it_has_and_they_are_no_nics(document: Any, fresh: Fresh) -> None:
    nics = {nic["pciBusID"]: nic for nic in document["spec"]["nics"] if "pciBusID" in nic}
    before = {nic["pciBusID"] for nic in fresh.document["spec"]["nics"] if "pciBusID" in nic}
    assert set(nics) == before
    assert nics[PARENT.address]["virtualFunctions"] == ENABLED


def test_each_names_its_parent(vm: Vm, document: Any) -> None:
    assert document
    vm.python("-m", "nvtopo", "capture", "/run/sriov.json")
    devices = json.loads(vm.read("/run/sriov.json") or "")["pci"]["devices"]
    functions = [device for device in devices if device.get("physfn") == PARENT.address]
    assert len(functions) == ENABLED
    assert {device["driver"] for device in functions} == {"igbvf"}
    assert {device["numaNode"] for device in functions} == {PARENT.node}


def test_rdma_on_a_virtual_function_folds_too(vm: Vm, fresh: Fresh) -> None:
    netdev = vf_netdevs(vm)[0]
    vm.run("modprobe", "rdma_rxe")
    vm.run("rdma", "link", "add", "rocevf", "type", "rxe", "netdev", netdev)
    try:
        nics = vm.json("nvtopo", "dump", "--format", "json")["spec"]["nics"]
    finally:
        vm.run("rdma", "link", "delete", "rocevf")
    assert [nic for nic in nics if nic["name"] == "rocevf"] == []
    assert len(nics) == len(fresh.document["spec"]["nics"])
