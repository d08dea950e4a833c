import json
from pathlib import Path
from typing import Final

import pytest

from nvtopo.model.records.facts import KubeletFacts, NetFacts, PciDevice, PciFacts
from nvtopo.sources.kubelet import policies as kubelet
from nvtopo.sources.linux import net, pci
from nvtopo.sources.machine import Machine, NoNvml
from nvtopo.sources.sysfs import SysfsRoot

CONFIG = """\
kind: KubeletConfiguration
cpuManagerPolicy: static  # asked for
memoryManagerPolicy: "None"
topologyManagerPolicy: single-numa-node
topologyManagerScope: 'pod'
nested:
  topologyManagerPolicy: best-effort
"""

ASKED: Final = {
    "asked_cpu_manager_policy": "static",
    "asked_memory_manager_policy": "None",
    "asked_topology_manager_policy": "single-numa-node",
    "asked_topology_manager_scope": "pod",
}
IN_FORCE: Final = KubeletFacts(
    cpu_manager_policy="static",
    memory_manager_policy="None",
    topology_manager_policy="single-numa-node",
    topology_manager_scope="pod",
    reserved_cpus="",
    **ASKED,
)

ROUTES = """\
Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth1\t00000000\t010A0A0A\t0003\t0\t0\t200\t00000000\t0\t0\t0
eth0\t00000000\t01000A0A\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth2\t00000A0A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(root=SysfsRoot(str(tmp_path)), nvml=NoNvml())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "var/lib/kubelet"
    path.mkdir(parents=True)
    return path


def test_a_machine_without_a_kubelet_has_no_policies(machine: Machine) -> None:
    assert kubelet.read(machine) == (None, ())


def test_the_configuration_says_what_was_asked_for_and_the_state_what_is_in_force(machine: Machine, home: Path) -> None:
    (home / "config.yaml").write_text(CONFIG)
    (home / "cpu_manager_state").write_text(json.dumps({"policyName": "none", "entries": {}, "checksum": 1}))
    assert kubelet.read(machine).facts == KubeletFacts(
        cpu_manager_policy="none",  # the file was changed after the kubelet started, so of the others nothing is known
        **ASKED,
    )


def test_what_a_checkpoint_confirms_is_in_force(machine: Machine, home: Path) -> None:
    (home / "config.yaml").write_text(CONFIG)
    (home / "cpu_manager_state").write_text(json.dumps({"policyName": "static"}))
    assert kubelet.read(machine).facts == IN_FORCE


def test_files_alone_are_what_was_asked_for(machine: Machine, home: Path) -> None:
    (home / "config.yaml").write_text(CONFIG)
    assert kubelet.read(machine).facts == KubeletFacts(**ASKED)


def test_the_files_of_a_kubelet_that_runs_are_in_force(machine: Machine, home: Path, tmp_path: Path) -> None:
    (home / "config.yaml").write_text(CONFIG)
    command_line(tmp_path, "/usr/bin/kubelet", "--config=/var/lib/kubelet/config.yaml")
    assert kubelet.read(machine).facts == IN_FORCE


def test_a_file_that_the_kubelet_does_not_name_is_not_in_force(machine: Machine, home: Path, tmp_path: Path) -> None:
    (home / "config.yaml").write_text(CONFIG)
    command_line(tmp_path, "kubelet", "--cpu-manager-policy=none")
    assert kubelet.read(machine).facts == KubeletFacts(cpu_manager_policy="none", asked_cpu_manager_policy="none")


@pytest.mark.parametrize("named", ["--config-dir=/etc/kubelet.conf.d", "--config=/etc/kubernetes/kubelet.json"])
def test_a_file_that_is_named_and_not_read_may_say_otherwise(
    machine: Machine, home: Path, tmp_path: Path, named: str
) -> None:
    (home / "config.yaml").write_text(CONFIG)
    command_line(tmp_path, "kubelet", "--config=/var/lib/kubelet/config.yaml", "--cpu-manager-policy=static", named)
    facts = kubelet.read(machine).facts
    assert isinstance(facts, KubeletFacts)
    assert (facts.cpu_manager_policy, facts.topology_manager_policy) == ("static", None)


@pytest.mark.parametrize(
    ("line", "flag", "reserved"),
    [
        ('reservedSystemCPUs: "0-3,56"', "--v=2", "0-3,56"),
        ("reservedSystemCPUs: 0,1,2", "--v=2", "0-2"),
        ("reservedSystemCPUs: 0-3", "--reserved-cpus=8", "8"),
        ("reservedSystemCPUs: 3-a", "--v=2", None),
        ("reservedSystemCPUs: 0-3", "--cpu-manager-policy=none", None),
        ("reservedSystemCPUs: 0-3", "--config-dir=/etc/kubelet.conf.d", None),
    ],
    ids=["quoted", "bare", "flag-wins", "no-list", "not-static", "a-file-is-not-read"],
)
def test_reserved_cpus(  # noqa: PLR0913, PLR0917 - fixtures and three columns
    machine: Machine, home: Path, tmp_path: Path, line: str, flag: str, reserved: str | None
) -> None:
    (home / "config.yaml").write_text(f"{CONFIG}{line}\n")
    command_line(tmp_path, "kubelet", "--config=/var/lib/kubelet/config.yaml", flag)
    facts, problems = kubelet.read(machine)
    assert isinstance(facts, KubeletFacts)
    assert facts.reserved_cpus == reserved
    assert len(problems) == ("a" in line.partition(":")[2])


def test_flags_alone(machine: Machine, tmp_path: Path) -> None:
    command_line(
        tmp_path,
        "kubelet",
        "--cpu-manager-policy=none",
        "--topology-manager-policy",
        "restricted",
        "--v=2",
        "--cpu-manager-policy=static",
    )
    facts = kubelet.read(machine).facts
    assert isinstance(facts, KubeletFacts)
    assert (facts.cpu_manager_policy, facts.topology_manager_policy) == ("static", "restricted")
    assert facts.asked_cpu_manager_policy == "static"


def test_flags_win_over_drop_ins_and_drop_ins_over_the_file(machine: Machine, tmp_path: Path) -> None:
    drop_ins = tmp_path / "etc/kubernetes/kubelet.conf.d"
    drop_ins.mkdir(parents=True)
    (tmp_path / "etc/kubernetes/kubelet.json").write_text('{"cpuManagerPolicy": "none", "topologyManagerScope": "pod"}')
    (drop_ins / "20-late.conf").write_text("topologyManagerPolicy: restricted\ncpuManagerPolicy: static\n")
    (drop_ins / "10-early.conf").write_text("topologyManagerPolicy: best-effort\nmemoryManagerPolicy: Static\n")
    (drop_ins / "30-other.yaml").write_text("topologyManagerPolicy: none\n")
    given = ("--config", "/etc/kubernetes/kubelet.json", "--config-dir=/etc/kubernetes/kubelet.conf.d")
    command_line(tmp_path, "kubelet", *given, "--memory-manager-policy=None")
    facts = kubelet.read(machine).facts
    assert isinstance(facts, KubeletFacts)
    assert facts.cpu_manager_policy == "static"
    assert facts.topology_manager_policy == "restricted"
    assert facts.topology_manager_scope == "pod"
    assert facts.memory_manager_policy == "None"


def test_a_kubelet_within_another_program(machine: Machine, tmp_path: Path) -> None:
    command_line(tmp_path, "/usr/local/bin/k3s", "server", "--kubelet-arg=cpu-manager-policy=static")
    facts = kubelet.read(machine).facts
    assert isinstance(facts, KubeletFacts)
    assert facts.cpu_manager_policy == "static"


def test_of_two_kubelets_nothing_is_concluded(machine: Machine, tmp_path: Path) -> None:
    command_line(tmp_path, "kubelet", "--cpu-manager-policy=static")
    command_line(tmp_path, "kubelet", "--cpu-manager-policy=none", pid=43)
    assert kubelet.read(machine).facts is None


def command_line(root: Path, *arguments: str, pid: int = 42) -> None:
    process = root / "proc" / str(pid)
    process.mkdir(parents=True)
    (process / "cmdline").write_text("".join(f"{argument}\0" for argument in arguments))


def test_a_broken_checkpoint_is_a_problem(machine: Machine, home: Path) -> None:
    (home / "memory_manager_state").write_text("{")
    reading = kubelet.read(machine)
    assert reading.facts is None
    assert reading.problems[0].subject == "/var/lib/kubelet/memory_manager_state"


def test_the_default_route_is_the_one_with_the_least_metric(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/net/route").write_text(ROUTES)
    (tmp_path / "sys/class/net/eth0").mkdir(parents=True)
    (tmp_path / "sys/class/net/eth0/ifindex").write_text("2\n")
    (tmp_path / "sys/class/net/eth0/uevent").write_text("DEVTYPE=vlan\nINTERFACE=eth0\n")
    facts = net.read(machine).facts
    assert isinstance(facts, NetFacts)
    assert facts.default_route == "eth0"
    assert facts.devices[0].kind == "vlan"


IPV6_ROUTES = """\
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 1 0 00000003     eth1
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000002 00000064 1 0 00000003     eth0
20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000010 1 0 00000001     eth2
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 1 0 00200200       lo
"""  # noqa: E501 - the kernel's lines


def test_a_default_route_of_ipv6_counts_and_the_kernel_s_unreachable_one_does_not(
    machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/net/ipv6_route").write_text(IPV6_ROUTES)
    (tmp_path / "sys/class/net/eth0").mkdir(parents=True)
    (tmp_path / "sys/class/net/eth0/ifindex").write_text("2\n")
    (tmp_path / "sys/class/net/eth0/lower_eth9").symlink_to("../eth9")
    facts = net.read(machine).facts
    assert isinstance(facts, NetFacts)
    assert (facts.default_route, facts.default_route_ipv6) == (None, "eth0")
    assert facts.devices[0].lower == ("eth9",)
    (tmp_path / "proc/net/ipv6_route").write_text("".join(IPV6_ROUTES.splitlines(keepends=True)[-1:]) + "garbage\n")
    facts = net.read(machine).facts
    assert isinstance(facts, NetFacts)
    assert facts.default_route_ipv6 is None


@pytest.mark.parametrize(
    ("folders", "elsewhere", "none"),
    [
        ((), False, True),
        (("net",), True, False),
        (("net/eth0",), False, False),
        (("infiniband",), True, False),
        (("net/eth0", "infiniband"), True, False),
        (("net/eth0", "infiniband/mlx5_0"), False, False),
        (("infiniband/mlx5_0",), False, False),
        (("virtio3/net/eth0",), False, False),
        (("physfn",), False, False),
    ],
)
def test_the_folders_of_a_function_say_whether_its_devices_are_elsewhere_or_there_are_none(
    machine: Machine, tmp_path: Path, folders: tuple[str, ...], elsewhere: bool, none: bool
) -> None:
    facts = _function(machine, tmp_path, folders, shown=True)
    assert (facts.netdevs_elsewhere, facts.no_devices) == (elsewhere, none)


def test_a_tree_without_network_devices_does_not_say_that_a_function_has_none(machine: Machine, tmp_path: Path) -> None:
    assert not _function(machine, tmp_path, (), shown=False).no_devices


def _function(machine: Machine, root: Path, folders: tuple[str, ...], *, shown: bool) -> PciDevice:
    function = root / "sys/devices/pci0000:00/0000:00:03.0"
    function.mkdir(parents=True)
    (function / "class").write_text("0x020000\n")
    for name in folders:
        if name == "physfn":
            (function / name).symlink_to("../0000:00:02.0")
        else:
            (function / name).mkdir(parents=True)
    (root / "sys/bus/pci/devices").mkdir(parents=True)
    (root / "sys/bus/pci/devices/0000:00:03.0").symlink_to("../../../devices/pci0000:00/0000:00:03.0")
    if shown:
        (root / "sys/class/net/lo").mkdir(parents=True)
    facts = pci.read(machine).facts
    assert isinstance(facts, PciFacts)
    return facts.devices[0]
