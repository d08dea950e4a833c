import json
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from nvtopo import standalone
from nvtopo.errors import ReadError, UsageError
from nvtopo.sources.machine import Machine, NoNvml
from nvtopo.sources.sysfs import SysfsRoot
from tests.hosts.recorded import RACK

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/hostname").write_text("laptop\n")
    return Machine(root=SysfsRoot(str(tmp_path)), nvml=NoNvml())


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own URL
        content: bytes = answer.read()
        return content


def test_this_machine_stands_beside_the_rack(machine: Machine) -> None:
    with standalone.running(machine, RACK, address="127.0.0.1", page_port=0, metrics_port=0) as up:
        graph: Any = json.loads(fetched(f"{up.page_url}/v1/graph"))
        assert len(graph["nodes"]) == 19
        assert graph["nodes"]["laptop"]["tiers"] == {}
        assert b"nvtopo" in fetched(f"{up.page_url}/")
        assert b"nvtopo_build_info" in fetched(f"{up.metrics_url}/metrics")


def test_what_changes_on_this_machine_changes_in_the_graph(machine: Machine, tmp_path: Path) -> None:
    with standalone.running(machine, None, address="127.0.0.1", page_port=0, metrics_port=0) as up:
        (tmp_path / "sys/devices/system/node/node0").mkdir(parents=True)
        (tmp_path / "sys/devices/system/node/node0/cpulist").write_text("0-3\n")
        up.agent.step()
        assert up.aggregator.wait(up.graph.generation, timeout=10) is not None


def test_the_demonstration_says_that_its_rack_is_invented() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "nvtopo", "standalone", "--oneshot", "--fleet", str(RACK)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "synthetic: 18 compute trays" in result.stdout
    assert "72 GPUs" in result.stdout
    assert result.stderr == ""


def test_a_fleet_that_is_no_fleet_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    result = subprocess.run(
        [sys.executable, "-m", "nvtopo", "standalone", "--oneshot", "--fleet", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 3
    assert result.stderr.count("\n") == 1
    assert "broken.json" in result.stderr


def test_the_demonstration_shows_four_faults_and_says_so() -> None:
    line = next(line for line in (ROOT / "Makefile").read_text().splitlines() if "nvtopo standalone" in line)
    arguments = line.partition("nvtopo ")[2].replace("$(RACK)", str(RACK.with_name("gb200-nvl72-demo"))).split(" $(")[0]
    shown = subprocess.run(
        [sys.executable, "-m", "nvtopo", *arguments.split(), "--oneshot"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    assert "four faults" in shown
    assert "t03  ■ ◧ ■ ■  GPU1 has 17 of 18 NVLinks" in shown
    assert "no node reports tray 08" in shown
    assert "nvl72-r01-t11, nvl72-r01-t12 claim one place" in shown
    assert "t13  ~ ~ ~ ~  its agent is not heard from" in shown


def test_a_stale_node_that_is_not_recorded_is_refused(machine: Machine) -> None:
    with (
        pytest.raises(UsageError, match="--stale nobody"),
        standalone.running(machine, RACK, address="127.0.0.1", page_port=0, metrics_port=0, stale=("nobody",)),
    ):
        raise AssertionError


@pytest.mark.parametrize("option", ["page_port", "metrics_port"])
def test_a_port_that_is_taken_names_its_option(machine: Machine, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"page_port": 0, "metrics_port": 0, option: taken.getsockname()[1]}
        with (
            pytest.raises(ReadError, match=f"Address already in use.*; --{option.replace('_', '-')} chooses another"),
            standalone.running(machine, None, address="127.0.0.1", **ports),
        ):
            raise AssertionError


def test_make_alone_lists_the_targets() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout
    assert {"demo", "test", "unit", "check", "clean"} <= {line.split()[0] for line in listed.splitlines()[1:]}
