import json
from pathlib import Path

import pytest

from nvtopo.model.facts import KubeletFacts, NetFacts
from nvtopo.sources import kubelet, net
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
        cpu_manager_policy="none",
        memory_manager_policy="None",
        topology_manager_policy="single-numa-node",
        topology_manager_scope="pod",
    )


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
