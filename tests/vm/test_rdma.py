"""Soft-RoCE: the kernel's own RDMA over the machine's NICs, asked by real pyverbs and libibverbs."""

import json
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

from nvtopo.model.conclusions.roce import roce_mtu
from tests.documents import facts
from tests.vm import layout
from tests.vm.fixtures import Fresh
from tests.vm.machine import Vm

pytestmark = pytest.mark.vm

PLACES: Final = layout.places()
#: RDMA device → the NIC of the layout that it stands on.
DEVICES: Final = {"rocep0": "cx0", "rocep1": "plain0"}
VIRTUAL: Final = "rocev"
ADDRESSES: Final = {"rocep0": "10.0.0.1", "rocep1": "10.0.1.1"}


@pytest.fixture(scope="module")
def netdevs(fresh: Fresh) -> dict[str, str]:
    """RDMA device → netdev."""
    functions = layout.functions()
    return {device: fresh.netdevs[str(functions[nic].properties["mac"])] for device, nic in DEVICES.items()}


@pytest.fixture(scope="module", autouse=True)
def roce(vm: Vm, netdevs: dict[str, str]) -> Iterator[None]:
    """RDMA devices on two NICs and on a netdev that is on no PCI at all."""
    vm.run("modprobe", "rdma_rxe")
    vm.run("ip", "link", "add", "virtual0", "type", "dummy")
    for device, netdev in (netdevs | {VIRTUAL: "virtual0"}).items():
        vm.run("ip", "link", "set", netdev, "up")
        if device in ADDRESSES:
            vm.run("ip", "address", "add", f"{ADDRESSES[device]}/24", "dev", netdev)
        vm.run("rdma", "link", "add", device, "type", "rxe", "netdev", netdev)
    wait_until_active(vm, [*netdevs, VIRTUAL])
    yield
    for device in (*netdevs, VIRTUAL):
        vm.run("rdma", "link", "delete", device)
    for netdev in netdevs.values():
        vm.run("ip", "address", "flush", "dev", netdev)
        vm.run("ip", "link", "set", netdev, "down")
    vm.run("ip", "link", "delete", "virtual0")


def wait_until_active(vm: Vm, devices: list[str]) -> None:
    """A new device is down until its netdev has carrier, which takes an emulated NIC seconds."""
    deadline = time.monotonic() + 60
    while True:
        states = {link["ifname"]: link["state"] for link in json.loads(vm.run("rdma", "-j", "link").output)}
        if all(states.get(device) == "ACTIVE" for device in devices):
            return
        assert time.monotonic() < deadline, states
        time.sleep(0.3)


@pytest.fixture(scope="module")
def report(vm: Vm, roce: None) -> Any:
    """All answers of all ways to ask."""
    assert roce is None
    return vm.json("tests.vm.guest.verbs_report")


@pytest.fixture(scope="module")
def seen(vm: Vm, roce: None) -> Any:
    """What ``nvtopo dump --format json`` says of the machine."""
    assert roce is None
    return facts(vm.json("nvtopo", "dump", "--format", "json"))


def test_each_device_is_found_on_its_netdev_s_function(seen: Any, netdevs: dict[str, str]) -> None:
    nics = {nic["name"]: nic for nic in seen["nics"]}
    for device, nic in DEVICES.items():
        place = PLACES[nic]
        assert (nics[device]["pciBusID"], nics[device]["path"]) == (place.address, place.path)
        assert nics[device]["numaNode"] == place.node
        assert nics[device]["netdevs"] == [netdevs[device]]
        assert nics[device]["ports"][0]["linkLayer"] == "Ethernet"
        assert nics[device]["ports"][0]["state"] == "ACTIVE"


def test_a_device_on_no_pci_says_so(seen: Any) -> None:
    (nic,) = [nic for nic in seen["nics"] if nic["name"] == VIRTUAL]
    assert "pciBusID" not in nic
    assert nic["netdevs"] == ["virtual0"]


def test_reading_it_all_is_no_problem(seen: Any) -> None:
    assert not [problem for problem in seen["problems"] if problem["source"] == "rdma"]


def test_gids_and_their_types_are_those_of_ibv_devinfo(report: Any) -> None:
    for device in report["facts"]["pyverbs"]["devices"]:
        gids = [(gid["index"], gid["gid"], gid["type"]) for gid in device["ports"][0]["gids"]]
        told = [(index, _full(gid), kind) for index, gid, kind in report["ports"][device["name"]]["devinfo"]["gids"]]
        assert gids == told
        assert gids


def _full(gid: str) -> str:
    """``::ffff:10.0.0.1`` and ``fe80::1`` in eight groups of four digits."""
    import ipaddress

    return ipaddress.IPv6Address(gid).exploded


def test_gids_are_the_addresses_of_the_netdev(report: Any, netdevs: dict[str, str]) -> None:
    devices = {device["name"]: device for device in report["facts"]["pyverbs"]["devices"]}
    for device, netdev in netdevs.items():
        gids = devices[device]["ports"][0]["gids"]
        mapped = "0000:0000:0000:0000:0000:ffff:{:02x}{:02x}:{:02x}{:02x}".format(
            *map(int, ADDRESSES[device].split("."))
        )
        assert mapped in [gid["gid"] for gid in gids]
        assert any(gid["gid"].startswith("fe80:") for gid in gids)
        assert {gid["netdev"] for gid in gids} == {netdev}
        assert {gid["type"] for gid in gids} == {"RoCE v2"}


def test_the_usable_gid_is_the_ipv4_one(seen: Any, report: Any) -> None:
    devices = {device["name"]: device for device in report["facts"]["pyverbs"]["devices"]}
    nics = {nic["name"]: nic for nic in seen["nics"]}
    for device in DEVICES:
        (index,) = [gid["index"] for gid in devices[device]["ports"][0]["gids"] if ":ffff:0a00:" in gid["gid"]]
        assert nics[device]["ports"][0]["gidIndex"] == index
    assert "gidIndex" not in nics[VIRTUAL]["ports"][0], "a link-local address does not route"


def test_pyverbs_and_libibverbs_give_the_same_answers(report: Any) -> None:
    assert sorted(report["ports"]) == sorted([*DEVICES, VIRTUAL])
    for port in report["ports"].values():
        assert port["chain"] == port["pyverbs"] == port["libibverbs"]
        assert port["chain"][0] == port["devinfo"]["activeMtu"]
        assert port["chain"][2] == port["sysfsState"]


def test_the_struct_of_libibverbs_is_pyverbs_s_field_for_field(report: Any) -> None:
    for port in report["ports"].values():
        assert port["libibverbsFields"] == port["pyverbsFields"]


def test_every_way_reads_the_same_facts_and_sysfs_only_lacks_the_mtu(report: Any) -> None:
    read = report["facts"]
    assert read["pyverbs"] == read["libibverbs"]
    for device in read["pyverbs"]["devices"]:
        for port in device["ports"]:
            assert port.pop("activeMtuBytes") in (256, 512, 1024, 2048, 4096)
    assert read["pyverbs"] == read["sysfs"]


def test_the_active_mtu_follows_the_netdev_s(vm: Vm, netdevs: dict[str, str]) -> None:
    netdev = netdevs["rocep1"]
    active = {}
    try:
        for mtu in (1500, 600, 2200, 9000):
            vm.run("ip", "link", "set", netdev, "mtu", str(mtu))
            spec = facts(vm.json("nvtopo", "dump", "--format", "json"))
            (nic,) = [nic for nic in spec["nics"] if nic["name"] == "rocep1"]
            assert nic["mtuBytes"] == mtu
            active[mtu] = nic["ports"][0]["activeMtuBytes"]
    finally:
        vm.run("ip", "link", "set", netdev, "mtu", "1500")
    assert active == {1500: 1024, 600: 512, 2200: 2048, 9000: 4096}
    # The model's estimate, where verbs are not asked, is hardware's: it reserves 96 bytes for headers, rxe only 80.
    assert {mtu: roce_mtu(mtu) for mtu in active} == active | {600: 256}


def test_a_device_file_that_does_not_open_is_a_problem(vm: Vm) -> None:
    file = "/dev/infiniband/uverbs0"
    vm.run("sh", "-c", f"mv {file} /dev/infiniband/kept && mkdir {file}")
    try:
        spec = facts(vm.json("nvtopo", "dump", "--format", "json"))
    finally:
        vm.run("sh", "-c", f"rmdir {file} && mv /dev/infiniband/kept {file}")
    problems = [problem for problem in spec["problems"] if problem["source"] == "rdma"]
    assert problems == [{"source": "rdma", "subject": file, "reason": "Is a directory"}]
    device = (vm.read("/sys/class/infiniband_verbs/uverbs0/ibdev") or "").strip()
    ports = {nic["name"]: nic["ports"][0] for nic in spec["nics"] if nic.get("ports")}
    assert {name for name, port in ports.items() if "activeMtuBytes" not in port} == {device}


def test_without_device_files_sysfs_is_all_there_is_and_no_problem(vm: Vm) -> None:
    vm.run("mv", "/dev/infiniband", "/dev/hidden")
    try:
        spec = facts(vm.json("nvtopo", "dump", "--format", "json"))
    finally:
        vm.run("mv", "/dev/hidden", "/dev/infiniband")
    assert not [problem for problem in spec["problems"] if problem["source"] == "rdma"]
    ports = [port for nic in spec["nics"] for port in nic.get("ports", ())]
    assert len(ports) == len(DEVICES) + 1
    assert not any("activeMtuBytes" in port for port in ports)


@pytest.fixture(scope="module")
def counters(vm: Vm, roce: None) -> Any:
    """Counters, resources and queue pairs by nvtopo and by iproute2, after and during traffic of the first device."""
    assert roce is None
    return vm.json("tests.vm.guest.counters_report", "rocep0")


def test_counters_are_those_of_rdma_statistic(counters: Any) -> None:
    told = {link["ifname"]: link for link in counters["rdma"]["statistic"]}
    assert sorted(told) == sorted([*DEVICES, VIRTUAL])
    for reading in counters["readings"]:
        (port,) = reading["ports"]
        assert (port["number"], port["state"]) == (1, "ACTIVE")
        own = {file.removeprefix("hw_counters/"): count for file, count in port["counters"].items()}
        assert own.items() <= told[reading["name"]].items()
        assert set(own) == {"link_downed", "sent_pkts", "rcvd_pkts", "duplicate_request", "out_of_seq_request"} | {
            *("rcvd_rnr_err", "rcvd_seq_err", "retry_exceeded_err", "retry_rnr_exceeded_err", "send_err")
        }
        assert set(own) <= set(counters["files"][reading["name"]])
        assert (own["sent_pkts"] > 100) == (reading["name"] == "rocep0"), "only one device had traffic"
        assert not reading.get("unreadable")


def test_the_metrics_page_says_what_rdma_and_verbs_say(counters: Any, report: Any) -> None:
    page = counters["page"].splitlines()
    for link in counters["rdma"]["statistic"]:
        labels = f'{{device="{link["ifname"]}",port="1"'
        assert f"nvtopo_rdma_port_packets_transmitted_total{labels}}} {link['sent_pkts']}" in page
        assert f"nvtopo_rdma_out_of_sequence_packets_received_total{labels}}} {link['out_of_seq_request']}" in page
        assert f'nvtopo_rdma_retransmissions_total{labels},cause="sequence_nak"}} {link["rcvd_seq_err"]}' in page
        assert f"nvtopo_rdma_port_state_id{labels}}} 4" in page
        assert f"nvtopo_rdma_port_active_mtu_bytes{labels}}} {report['ports'][link['ifname']]['chain'][0]}" in page
        assert f"nvtopo_rdma_port_mtu_mismatch{labels}}} 0" in page
        assert any(line.startswith(f"nvtopo_rdma_port_carrier_down_total{labels}}} ") for line in page)
        usable = int(link["ifname"] != VIRTUAL)
        assert f"nvtopo_rdma_port_gid_usable{labels}}} {usable}" in page, "a link-local address does not route"
    assert "nvtopo_rdma_netlink_up 1" in page
    for device in counters["rdma"]["resource"]:
        assert f'nvtopo_rdma_resources{{device="{device["ifname"]}",resource="qp"}} {device["qp"]}' in page
    assert 'nvtopo_rdma_queue_pairs{device="rocep0",type="RC",state="INIT"} 1' in page
    assert "nvtopo_rdma_ethtool_up 1" in page
    for way in ("received", "transmitted"):
        paused = [line for line in page if line.startswith(f"nvtopo_rdma_pause_frames_{way}_total")]
        only = f'nvtopo_rdma_pause_frames_{way}_total{{device="rocep0",port="1",priority="all"}} 0'
        assert paused == [only], "e1000e counts pause of the whole link; virtio-net and dummy do not"


def test_resources_are_those_of_rdma_resource(counters: Any) -> None:
    told = {device["ifname"]: device for device in counters["rdma"]["resource"]}
    assert sorted(counters["resources"]) == sorted(told)
    for name, resources in counters["resources"].items():
        assert {resource: told[name][resource] for resource in resources} == resources
        assert resources["qp"] >= 1
    assert counters["resources"]["rocep0"]["qp"] > counters["resources"]["rocep1"]["qp"]


def test_queue_pairs_are_those_of_rdma_resource_show_qp(counters: Any) -> None:
    for device, found in counters["queuePairs"].items():
        told: dict[tuple[str, str], int] = {}
        for pair in counters["rdma"]["queuePairs"]:
            if pair["ifname"] == device:
                told[pair["type"], pair["state"]] = told.get((pair["type"], pair["state"]), 0) + 1
        assert {(kind, state): count for kind, state, count in found} == told
        assert ("RC" in {kind for kind, _ in told}) == (device == "rocep0")
    assert set(counters["bound"].values()) == {0}, "soft-RoCE binds no counters"
