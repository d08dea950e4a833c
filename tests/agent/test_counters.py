from pathlib import Path

import psutil
import pytest

from nvtopo.agent import Agent, counters
from nvtopo.model.facts import NumaFacts, NumaNode
from nvtopo.sinks.series import text
from nvtopo.sources import numa_counters
from nvtopo.sources.machine import Machine, NoNvml
from nvtopo.sources.sysfs import SysfsRoot

NUMASTAT = "numa_hit 100\nnuma_miss 7\nnuma_foreign 3\ninterleave_hit 2\nlocal_node 90\nother_node 10\n"


@pytest.fixture
def root(tmp_path: Path) -> SysfsRoot:
    node = tmp_path / "sys/devices/system/node/node0"
    (node / "hugepages/hugepages-2048kB").mkdir(parents=True)
    (node / "hugepages/hugepages-2048kB/nr_hugepages").write_text("8\n")
    (node / "hugepages/hugepages-2048kB/free_hugepages").write_text("0\n")
    (node / "numastat").write_text(NUMASTAT)
    (node / "cpulist").write_text("0\n")
    cpu = tmp_path / "sys/devices/system/cpu"
    cpu.mkdir()
    (cpu / "online").write_text("0\n")
    return SysfsRoot(str(tmp_path))


def test_counters_of_a_node(root: SysfsRoot) -> None:
    facts = NumaFacts(nodes=(NumaNode(index=0, cpus="0"), NumaNode(index=1)), online_cpus="0")
    first, memory_only = numa_counters.read(root, facts).nodes
    assert first.allocated_pages == {"numa_hit": 100, "numa_miss": 7, "numa_foreign": 3, "other_node": 10}
    assert first.free_hugepages == {"2048kB": 0}
    assert first.busy_seconds is None, "CPU times of this machine are not those of a recorded one"
    assert memory_only == numa_counters.NodeCounters(index=1)


def test_this_machine_s_cpu_time_is_psutil_s() -> None:
    cpus = range(psutil.cpu_count() or 1)
    listed = ",".join(map(str, cpus))
    facts = NumaFacts(nodes=(NumaNode(index=0, cpus=listed),), online_cpus=listed)
    before = psutil.cpu_times()
    (node,) = numa_counters.read(SysfsRoot("/"), facts).nodes
    after = psutil.cpu_times()
    assert node.idle_seconds is not None
    assert before.idle + before.iowait - 1 <= node.idle_seconds <= after.idle + after.iowait + 1


def test_the_page_has_what_is_known(root: SysfsRoot) -> None:
    agent = Agent(Machine(root=root, nvml=NoNvml()), [])
    part = counters.part(root, agent.latest)
    assert list(part()) == []
    agent.step()
    page = text(part())
    assert 'nvtopo_numa_allocated_pages_total{numa_node="0",result="numa_miss"} 7\n' in page
    assert 'nvtopo_numa_hugepages_free{numa_node="0",size="2048kB"} 0\n' in page
    assert "nvtopo_numa_cpu_seconds_total" not in page
