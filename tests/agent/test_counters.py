import errno
from pathlib import Path
from typing import Any

import psutil
import pytest

from nvtopo.agent import Agent
from nvtopo.agent.parts import counters
from nvtopo.agent.parts.all_parts import parts
from nvtopo.model.records.facts import NumaFacts, NumaNode
from nvtopo.model.records.record import Problem
from nvtopo.model.samples.numa_counters import CpuSeconds, NodeCounters
from nvtopo.sinks.metrics import numa as numa_metrics
from nvtopo.sinks.metrics.series import text, together
from nvtopo.sources.kubelet.pods import PodsReading
from nvtopo.sources.linux import numa_counters
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
    assert first.cpus == {}, "CPU times of this machine are not those of a recorded one"
    assert memory_only == NodeCounters(index=1)


STAT = """\
cpu  300 30 60 3000 30 3 6 9 50 0
cpu0 100 10 20 1000 10 1 2 3 50 0
cpu1 200 20 40 2000 20 2 4 6 0 0
cpu7 1 1 1 1 1 1 1 1 0 0
intr 5 4 3
ctxt 123456
btime 1767225600
"""


def test_what_each_cpu_did_is_told_by_node(root: SysfsRoot, tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text(STAT)
    facts = NumaFacts(nodes=(NumaNode(index=0, cpus="0,2"), NumaNode(index=1, cpus="1")), online_cpus="0-1")
    counters = numa_counters.read(root, facts)
    assert counters.context_switches == 123456
    assert [node.cpus for node in counters.nodes] == [
        {0: CpuSeconds(busy=1.36, idle=10.1)},
        {1: CpuSeconds(busy=2.72, idle=20.2)},
    ]
    page = text(numa_metrics.families(counters.nodes, counters.context_switches))
    assert 'nvtopo_numa_cpu_seconds_total{numa_node="1",mode="idle"} 20.2\n' in page
    assert 'nvtopo_cpu_busy_seconds_total{cpu="0",numa_node="0"} 1.36\n' in page
    assert "nvtopo_context_switches_total 123456\n" in page


def test_a_file_that_can_not_be_read_is_a_problem(root: SysfsRoot, tmp_path: Path) -> None:
    del root
    failures = {"/proc/stat": errno.EACCES, "/sys/devices/system/node/node0/numastat": errno.EIO}
    failing = SysfsRoot(str(tmp_path), failures)
    counters = numa_counters.read(failing, NumaFacts(nodes=(NumaNode(index=0, cpus="0"),), online_cpus="0"))
    assert [problem.subject for problem in counters.problems] == [
        "/proc/stat",
        "/sys/devices/system/node/node0/numastat",
    ]
    assert (counters.context_switches, counters.nodes[0].cpus, counters.nodes[0].allocated_pages) == (None, {}, {})


def busy_of(times: Any) -> float:
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)


def test_this_machine_s_cpu_time_is_psutil_s() -> None:
    cpus = range(psutil.cpu_count() or 1)
    listed = ",".join(map(str, cpus))
    facts = NumaFacts(nodes=(NumaNode(index=0, cpus=listed),), online_cpus=listed)
    before = psutil.cpu_times()
    counters = numa_counters.read(SysfsRoot("/"), facts)
    after = psutil.cpu_times()
    (node,) = counters.nodes
    assert set(node.cpus) == set(cpus)
    idle, busy = (sum(getattr(cpu, name) for cpu in node.cpus.values()) for name in ("idle", "busy"))
    assert before.idle + before.iowait - 1 <= idle <= after.idle + after.iowait + 1
    assert busy_of(before) - 1 <= busy <= busy_of(after) + 1
    assert counters.context_switches is not None
    assert abs(counters.context_switches - psutil.cpu_stats().ctx_switches) < 10_000_000
    assert counters.problems == ()


def test_the_page_has_what_is_known(root: SysfsRoot) -> None:
    agent = Agent(Machine(root=root, nvml=NoNvml()), [])
    part = counters.NumaPart(root, agent.latest)
    assert list(part()) == []
    agent.step()
    page = text(part())
    assert 'nvtopo_numa_allocated_pages_total{numa_node="0",result="numa_miss"} 7\n' in page
    assert 'nvtopo_numa_hugepages_free{numa_node="0",size="2048kB"} 0\n' in page
    assert "nvtopo_numa_cpu_seconds_total" not in page


def test_what_is_read_beside_the_loop_has_its_problems_on_the_page(root: SysfsRoot, tmp_path: Path) -> None:
    del root
    failing = SysfsRoot(str(tmp_path), {"/sys/devices/system/node/node0/numastat": errno.EIO})
    agent = Agent(Machine(root=failing, nvml=NoNvml()), [])
    held = PodsReading((), (Problem(source="pods", subject="kubelet", reason="a reading hangs"),))
    page = parts(failing, agent.latest, agent.changes, lambda: held)
    assert 'nvtopo_problems{source="pods"} 1\n' in text(together(page)), "before the first observation too"
    agent.step()
    text(together(page))  # counters are read after the problems of the last scrape are told
    told = text(together(page))
    assert 'nvtopo_problems{source="numa-counters"} 1\n' in told
    assert told.count('nvtopo_problems{source="pods"}') == 1
    for source in ("host", "numa", "pci", "net", "rdma", "storage", "kubelet", "nvml"):
        assert f'nvtopo_source_duration_seconds{{source="{source}"}} ' in told
