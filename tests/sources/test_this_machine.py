"""``nvtopo dump --format json`` on the machine that runs the tests, against the tools that everybody trusts."""

import collections
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.machine


def output_of(*argv: str) -> str:
    if shutil.which(argv[0]) is None:
        pytest.fail(f"{argv[0]} is missing: apt-get install -y pciutils iproute2", pytrace=False)
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture(scope="module")
def spec() -> Any:
    return json.loads(output_of(sys.executable, "-m", "nvtopo", "dump", "--format", "json"))["spec"]


def test_pci_functions_are_lspci_s(spec: Any) -> None:
    functions = collections.Counter(
        f"pci{line.split()[0].rpartition(':')[0]}" for line in output_of("lspci", "-D").splitlines()
    )
    counted = {root["root"]: root["functions"] for root in spec.get("pci", [])}
    # A root bus has the functions of every bus below it: compare what both can say, the whole and the root's own.
    assert sum(counted.values()) == sum(functions.values())
    for root in counted:
        assert root in functions


def test_nics_are_ip_link_s(spec: Any) -> None:
    links = {link["ifname"]: link for link in json.loads(output_of("ip", "-json", "link"))}
    physical = {path.name for path in Path("/sys/class/net").iterdir() if "/pci" in str(path.resolve())}
    reported = {netdev: nic for nic in spec.get("nics", []) for netdev in nic.get("netdevs", [])}
    assert set(reported) == physical & set(links)
    for name, nic in reported.items():
        assert nic["mtuBytes"] == links[name]["mtu"]
        assert nic["operstate"] == links[name]["operstate"].lower()


def test_numa_nodes_are_sysfs_s_and_cpus_psutil_s(spec: Any) -> None:
    nodes = {int(path.name[4:]) for path in Path("/sys/devices/system/node").glob("node[0-9]*")}
    assert {node["index"] for node in spec.get("numa", [])} == nodes
    lists = [node["cpus"] for node in spec["numa"] if node.get("cpus")]
    cpus = sum(
        int(last or first) - int(first) + 1
        for part in ",".join(lists).split(",")
        for first, _, last in [part.partition("-")]
    )
    assert cpus == psutil.cpu_count()


def test_there_is_no_nvidia_driver_and_the_matrix_says_so(spec: Any) -> None:
    if "driverVersion" in spec["host"]:
        pytest.skip("this machine has an NVIDIA driver")
    assert "no NVIDIA driver" in output_of(sys.executable, "-m", "nvtopo", "dump")


def test_netlink_sees_the_same_links(spec: Any) -> None:
    from pyroute2 import IPRoute

    with IPRoute() as netlink:
        links = {link.get("ifname"): link.get("mtu") for link in netlink.get_links()}
    for nic in spec.get("nics", []):
        for netdev in nic.get("netdevs", []):
            assert links[netdev] == nic["mtuBytes"]


def test_udev_sees_the_same_functions(spec: Any) -> None:
    import pyudev

    functions = [device.sys_name for device in pyudev.Context().list_devices(subsystem="pci")]
    assert len(functions) == sum(root["functions"] for root in spec.get("pci", []))
