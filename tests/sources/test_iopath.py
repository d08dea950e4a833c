"""GPUDirect Storage, network mounts and routes, and NICs' interrupts, as files of a host show them."""

from pathlib import Path
from typing import Final

import pytest

from nvtopo.model.records.facts import IoPathFacts, NicInterrupts
from nvtopo.sources.linux import iopath
from tests.sources.test_runtime import machine

#: A default route, a network with two routes of other metrics, a host in it, and one that is not up.
ROUTES: Final = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
rail0\t0000000A\t00000000\t0001\t0\t0\t50\t0000FFFF\t0\t0\t0
rail1\t0000000A\t00000000\t0001\t0\t0\t60\t0000FFFF\t0\t0\t0
stor0\t0500000A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0
down0\t0700000A\t00000000\t0000\t0\t0\t0\tFFFFFFFF\t0\t0\t0
"""

#: A network, a host in it, one without a way, and what the kernel has for what it refuses.
IPV6: Final = """\
fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 1 0 00000001    rail6
fd000000000000000000000000000007 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 1 0 00000005    stor6
fe000000000000000000000000000000 08 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 1 0 00000201    eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 1 0 00200200       lo
"""  # noqa: E501


def facts(root: Path, files: dict[str, str]) -> IoPathFacts | None:
    found, problems = iopath.read(machine(root, files))
    assert problems == ()
    assert found is None or isinstance(found, IoPathFacts)
    return found


def test_a_host_without_any_has_no_facts(tmp_path: Path) -> None:
    assert facts(tmp_path, {"/proc/1/mounts": "/dev/sda / ext4 rw 0 0\n", "/proc/modules": "nvidia 1 0\n"}) is None


@pytest.mark.parametrize(
    ("line", "netdev"),
    [
        ("10.0.0.5:/a /data nfs4 rw,addr=10.0.0.5,vers=4.2 0 0", "stor0"),
        ("10.0.9.9:/a /data nfs4 rw,clientaddr=10.0.0.5,addr=10.0.9.9 0 0", "rail0"),
        ("10.0.0.7@tcp:/fs /data nfs4 rw,lazystatfs 0 0", "rail0"),
        ("8.8.8.8:6789:/ /data nfs4 rw 0 0", "eth0"),
        ("server:/a /data nfs4 rw,addr=fd00::1 0 0", "rail6"),
        ("[fd00::7]:/a /data nfs4 rw 0 0", "stor6"),
        ("[fd00::7]:6789:/ /data ceph rw 0 0", "stor6"),
        ("server:/a /data nfs4 rw,addr=::ffff:10.0.0.5 0 0", "stor0"),
        ("server:/a /data nfs4 rw,addr=fe00::1 0 0", None),
        ("server:/a /data nfs4 rw,addr=a:b 0 0", None),
        ("10.0.0.999:/a /data nfs4 rw 0 0", None),
    ],
)
def test_a_mount_has_the_device_of_its_most_specific_route(tmp_path: Path, line: str, netdev: str | None) -> None:
    found = facts(tmp_path, {"/proc/1/mounts": f"{line}\n", "/proc/net/route": ROUTES, "/proc/net/ipv6_route": IPV6})
    assert found is not None
    assert [mount.netdev for mount in found.mounts] == [netdev]


def test_without_a_route_or_with_lines_that_are_none_the_device_is_not_known(tmp_path: Path) -> None:
    files = {"/proc/1/mounts": "10.0.0.5:/a /data nfs4 rw 0 0\ncut\n", "/proc/net/route": "head\nx y\n"}
    found = facts(tmp_path, files)
    assert found is not None
    assert found.mounts[0].netdev is None


@pytest.mark.parametrize(("modules", "loaded"), [("nvidia_fs 1 0 - Live\n", True), ("nvidia 1 0\n", False)])
def test_the_module_of_gpudirect_storage(tmp_path: Path, modules: str, loaded: bool) -> None:
    assert facts(tmp_path, {"/etc/cufile.json": "{}", "/proc/modules": modules}) == IoPathFacts(
        cufile=True, nvidia_fs=loaded
    )


def test_modules_that_are_not_shown_are_not_known(tmp_path: Path) -> None:
    assert facts(tmp_path, {"/etc/cufile.json": "{}"}) == IoPathFacts(cufile=True)


@pytest.mark.parametrize("file", ["/dev/gdrdrv", "/usr/lib64/libgdrapi.so.2"])
@pytest.mark.parametrize(("modules", "loaded"), [("gdrdrv 1 0\n", True), ("nvidia 1 0\n", False), (None, None)])
def test_the_module_of_gdrcopy(tmp_path: Path, file: str, modules: str | None, loaded: bool | None) -> None:
    files = {file: ""} | ({} if modules is None else {"/proc/modules": modules})
    assert facts(tmp_path, files) == IoPathFacts(gdrcopy=True, gdrdrv=loaded)


def test_interrupts_of_a_nic_are_counted_where_their_cpus_are_shown(tmp_path: Path) -> None:
    irqs = "/sys/class/net/rail0/device/msi_irqs"
    files = {f"{irqs}/{number}": "msix\n" for number in (40, 41, 42)}
    files |= {"/proc/irq/40/effective_affinity_list": "3\n", "/proc/irq/41/effective_affinity_list": "8-9\n"}
    files |= {"/sys/class/net/lo/mtu": "65536\n"}
    found = facts(tmp_path, files)
    assert found is not None
    assert found.interrupts == (NicInterrupts(netdev="rail0", count=2, cpus="3,8-9"),)
