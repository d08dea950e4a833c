"""Faults of a machine with real buses, netdevs and soft-RoCE: one run of ``nvtopo doctor`` finds all that there are."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import pytest

from tests.vm import driver, layout
from tests.vm.fixtures import Fresh
from tests.vm.machine import Vm
from tests.vm.test_rdma import wait_until_active

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]

PLACES: Final = layout.places()
#: RDMA device → the NIC that it stands on, below a GPU's own switch, and its address.
RAILS: Final = {"rail0": ("cx0", "10.1.0.1"), "rail1": ("cx1", "10.1.1.1")}
MTU: Final = 9000
#: Bridges on the way from GPU0 and GPU1 to their NIC, and on that of the others.
BRIDGES: Final = tuple(PLACES[name].address for name in ("root0", "slot0", "slot1", "slot2"))
OTHERS: Final = tuple(PLACES[name].address for name in ("root2", "slot4", "slot5", "slot6", "slot7"))
_REDIRECTS: Final = 0x1D
_CODES: Final = (0, 1, 3)
Findings = set[tuple[str, str]]
"""Id and subject."""


@pytest.fixture(scope="module")
def netdevs(fresh: Fresh) -> dict[str, str]:
    """RDMA device → netdev."""
    functions = layout.functions()
    return {rail: fresh.netdevs[str(functions[nic].properties["mac"])] for rail, (nic, _) in RAILS.items()}


@pytest.fixture(scope="module", autouse=True)
def rails(vm: Vm, netdevs: dict[str, str]) -> Iterator[None]:
    """Two rails that are well: active, of one large MTU, with an address each, and no bridge that redirects."""
    vm.run("modprobe", "rdma_rxe")
    with ExitStack() as stack:
        for rail, netdev in netdevs.items():
            stack.enter_context(_linked(vm, rail, netdev, RAILS[rail][1]))
        before = acs(vm, 0, *BRIDGES, *OTHERS)
        assert before, "no bridge of the machine has ACS"
        for address, value in before.items():
            stack.callback(acs, vm, value, address)
        wait_until_active(vm, list(netdevs))
        yield


@contextmanager
def _linked(vm: Vm, rail: str, netdev: str, address: str) -> Iterator[None]:
    vm.run("ip", "link", "set", netdev, "mtu", str(MTU), "up")
    vm.run("ip", "address", "add", f"{address}/24", "dev", netdev)
    vm.run("rdma", "link", "add", rail, "type", "rxe", "netdev", netdev)
    try:
        yield
    finally:
        vm.run("rdma", "link", "delete", rail)
        vm.run("ip", "address", "flush", "dev", netdev)
        vm.run("ip", "link", "set", netdev, "mtu", "1500", "down")


def acs(vm: Vm, value: int, *bridges: str) -> dict[str, int]:
    """Write the ACS control of the bridges; what it was before. The kernel sets it where an IOMMU is on."""
    written = vm.json("tests.vm.guest.acs", hex(value), *(bridges or BRIDGES))
    return {address: before for address, (before, _) in written.items()}


def doctor(vm: Vm, *options: str) -> Any:
    """One run, with the driver's stand-in."""
    done = vm.run(*driver.command("nvtopo", "doctor", "--format", "json", *options), seconds=150, check=False)
    assert done.code in _CODES, done.errors
    return json.loads(done.output)


def findings(report: Any) -> Findings:
    return {(one["id"], one["subject"]) for one in report["findings"]}


def said(report: Any) -> list[str]:
    """Of the active test."""
    return [one["evidence"] for one in report["findings"] if one["id"] == "rdma-loop-failed"]


@pytest.fixture(scope="module")
def well(vm: Vm, rails: None) -> Any:
    """What doctor says of the machine before its faults."""
    assert rails is None
    return doctor(vm)


def test_of_a_machine_that_is_well_none_of_the_faults_is_found(well: Any) -> None:
    ids = {name for name, _ in findings(well)}
    assert not ids & {"rail-mtus-differ", "rail-mtu-small", "roce-gid-missing", "ports-down", "acs-redirect"}
    for name in ("rail-mtus-differ", "roce-gid-missing", "acs-redirect"):
        assert well["checks"][name] == "passed", name


def test_mtu_gid_and_acs_are_found_within_one_run(vm: Vm, well: Any, netdevs: dict[str, str]) -> None:
    vm.run("ip", "link", "set", netdevs["rail0"], "mtu", "1500")
    vm.run("ip", "address", "flush", "dev", netdevs["rail1"], "scope", "global")
    acs(vm, _REDIRECTS)
    try:
        found = doctor(vm)
    finally:
        acs(vm, 0)
        vm.run("ip", "link", "set", netdevs["rail0"], "mtu", str(MTU))
        vm.run("ip", "address", "add", f"{RAILS['rail1'][1]}/24", "dev", netdevs["rail1"])
    assert {
        ("rail-mtus-differ", "node"),
        ("rail-mtu-small", "rail0"),
        ("roce-gid-missing", "rail1/1"),
        ("acs-redirect", "GPU0"),
        ("acs-redirect", "GPU1"),
    } <= findings(found) - findings(well)
    assert ("acs-redirect", "GPU2") not in findings(found), "no bridge of its path redirects"


def test_a_rail_that_is_down_is_found(vm: Vm, well: Any, netdevs: dict[str, str]) -> None:
    vm.run("ip", "link", "set", netdevs["rail1"], "down")
    try:
        found = doctor(vm)
    finally:
        vm.run("ip", "link", "set", netdevs["rail1"], "up")
        wait_until_active(vm, list(netdevs))
    assert "ports-down" in {name for name, _ in findings(found) - findings(well)}
    assert [one["subject"] for one in found["findings"] if one["id"] == "ports-down"] == ["rail1"]


def test_messages_come_back_and_the_other_end_says_so_too(vm: Vm) -> None:
    log = "/run/answer.json"
    other = vm.start(*driver.command("nvtopo", "doctor", "--format", "json", "--answer-rdma", "rail0"), log=log)
    vm.wait_until_read(log, "waits for one run", 60)
    asked = doctor(vm, "--probe-rdma", f"rail0={RAILS['rail0'][1]}")
    assert asked["checks"]["rdma-loop-failed"] == "passed", said(asked)
    answered = vm.wait_until_read(log, '"verdict"', 60)
    assert json.loads(answered[answered.index("{") :])["checks"]["rdma-loop-failed"] == "passed"
    assert vm.end(other) in _CODES


def test_messages_that_do_not_come_back_are_found(vm: Vm, netdevs: dict[str, str]) -> None:
    """Both ends on this node, and a device whose port is down: no queue pair of it becomes ready."""
    vm.run("ip", "link", "set", netdevs["rail1"], "down")
    try:
        failed = doctor(vm, "--probe-rdma", "rail1")
    finally:
        vm.run("ip", "link", "set", netdevs["rail1"], "up")
        wait_until_active(vm, list(netdevs))
    assert ("rdma-loop-failed", "rail1") in findings(failed)
    again = doctor(vm, "--probe-rdma", "rail1")
    assert again["checks"]["rdma-loop-failed"] == "passed", said(again)


def test_virtual_functions_that_no_driver_holds_are_found(vm: Vm, fresh: Fresh, netdevs: dict[str, str]) -> None:
    """The SR-IOV NIC as the only rail: the others have no RDMA meanwhile."""
    netdev = fresh.netdevs[str(layout.functions()["sriov0"].properties["mac"])]
    device = f"/sys/bus/pci/devices/{PLACES['sriov0'].address}"
    for rail in netdevs:
        vm.run("rdma", "link", "delete", rail)
    vm.run("rdma", "link", "add", "sriov", "type", "rxe", "netdev", netdev)
    vm.run("sh", "-c", f"echo 0 > {device}/sriov_drivers_autoprobe && echo 2 > {device}/sriov_numvfs")
    try:
        found = doctor(vm)
    finally:
        vm.run("sh", "-c", f"echo 0 > {device}/sriov_numvfs && echo 1 > {device}/sriov_drivers_autoprobe")
        vm.run("rdma", "link", "delete", "sriov")
        for rail, netdev in netdevs.items():
            vm.run("rdma", "link", "add", rail, "type", "rxe", "netdev", netdev)
        wait_until_active(vm, list(netdevs))
    assert ("sriov-vfs-without-driver", "sriov") in findings(found)
