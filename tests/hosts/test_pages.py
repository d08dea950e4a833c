"""The whole metrics page of every machine of ``fixtures/hosts``, sampler and all, as a file; and what holds for each.

Three figures are the moment's and stand masked in the file: how many samples there were, how long the last one took,
and how long the RDMA ports took.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from nvtopo.agent.parts import sampler, sampler_policy
from nvtopo.agent.parts.all_parts import parts
from nvtopo.agent.parts.changes import Changes
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.observation import Observation
from nvtopo.sinks.metrics.series import Family, Series, text, together
from nvtopo.sources import reading
from nvtopo.sources.kubelet.pods import read as read_pods
from nvtopo.sources.machine import Machine
from nvtopo.sources.nvml.topology import NvmlWorker
from tests import golden
from tests.hosts.recorded import HOSTS, host_at
from tests.metrics_table import AGENT

pytestmark = pytest.mark.slow

_UPTIME_SECONDS: Final = 100_000
_PATIENCE_SECONDS: Final = 120
_OF_THE_MOMENT: Final = re.compile(
    r"^(nvtopo_(?:sampler_samples_total|sampler_sample_duration_seconds|rdma_read_duration_seconds)) .*$", re.MULTILINE
)
#: With everything that Blackwell answers, and pairs of 16 GPUs. Eight GPUs of 18 links have 4,100 and less.
_MOST_SERIES_OF_A_LINK: Final = 24
_MOST_SERIES_OF_A_GPU: Final = 75
_MOST_SERIES_OF_A_PORT: Final = 80
_MOST_SERIES_OF_A_CPU: Final = 1
#: Three kinds of memory and CPUs, on two NUMA nodes; a ratio.
_MOST_SERIES_OF_A_CONTAINER: Final = 9
_MOST_SERIES_OF_THE_REST: Final = 500

#: Base units, and the words that count things or say yes and no. A name ends in one of them, before ``_total``.
_UNITS: Final = {
    "unused",
    *("bytes", "seconds", "joules", "celsius", "watts", "hertz", "repair", "ratio", "lanes", "info"),
    "changes",
    *("errors", "recoveries", "replays", "samples", "restarts", "pages", "switches", "free", "problems"),
    *("gpus", "cpus", "links", "groups", "possible", "expected", "generation"),
    *(
        "packets",
        "drops",
        "discards",
        "retransmissions",
        "exceeded",
        "downed",
        "down",
        "recovery",
        "error",
        "wait",
        "received",
    ),
    *("id", "mtu", "usable", "index", "mismatch"),
    *("up", "active", "state", "event", "problem", "verdict", "action", "access", "degraded", "nic", "health", "ready"),
}
#: Label → what its values look like: numbers, names of what is soldered in, words of closed sets. No free text.
_BOUNDED: Final = {
    "gpu|peer|link|port|rail|cpu|numa_node|module_id|remote_gpu|remote_link": r"\d{1,4}",
    "clique": r"\d{1,10}",
    "UUID": r"GPU-[0-9a-f-]{1,64}",
    "pci_bus_id|remote_pci_bus_id": r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]",
    "cluster_uuid": r"[0-9a-f-]{36}",
    "group": r"G\d{1,2}",
    "device|netdev": r"[A-Za-z0-9_.:@-]{1,64}",
    "size": r"\d+kB",
    "version|release|kernel_module|nvml|cuda|model|architecture": r".{1,256}",
    "level": "PIX|PXB|PHB|NODE|SYS",
    "source": r"[a-z-]{1,16}",
    "namespace|pod|container": r"[a-z0-9.-]{1,253}",
}
_PAIR_LINK: Final = r"NV\d+|PIX|PXB|PHB|NODE|SYS|INTERNAL"
_WORD: Final = r"[A-Za-z][A-Za-z0-9_-]{0,31}"


def of_machine(machine: Machine) -> Iterator[Family]:
    """The page as the agent would serve it now, with an observation of a fixed moment."""
    snapshot, seconds = reading.timed(machine)
    node = assemble(snapshot)
    observation = Observation(snapshot, node, derive(node), 0.25, 1_800_000_000, dict.fromkeys(seconds, 0.125))
    assert isinstance(machine.nvml, NvmlWorker)
    with sampler.Sampler(machine.nvml.library, sampler_policy.Pace(interval=0.01)) as running:
        if running.scrape() is not None:
            assert running.wait(lambda state: state.samples >= 2 or "driver" in state.reasons, _PATIENCE_SECONDS)
        found = parts(machine.root, lambda: observation, Changes(), lambda: read_pods(machine.root))
        yield from together((*found, sampler.part(running, lambda: observation)))


@pytest.fixture(scope="module", params=HOSTS, ids=[host.name for host in HOSTS])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Family]]:
    host = request.param
    with host_at(host, _UPTIME_SECONDS, tmp_path_factory.mktemp("machine")) as machine:
        return host, [family for family in of_machine(machine) if family.samples]


def test_the_page(page: tuple[Path, list[Family]]) -> None:
    host, families = page
    golden.check(_OF_THE_MOMENT.sub(r"\1 0", text(families)), host / "expected" / "metrics.prom")


def test_prometheus_client_reads_it_in_both_formats(page: tuple[Path, list[Family]]) -> None:
    _, families = page
    samples = sum(len(family.samples) for family in families)
    assert sum(len(family.samples) for family in parse(text(families))) == samples
    openmetrics = parse_openmetrics(text(families, openmetrics=True))  # type: ignore[no-untyped-call]
    assert sum(len(family.samples) for family in openmetrics) == samples


def test_no_series_is_without_a_unit_or_undeclared(page: tuple[Path, list[Family]]) -> None:
    for family in page[1]:
        name, kind = family.series.name, family.series.kind
        assert family.series in AGENT, f"{name} is not in the table"
        assert name.startswith("nvtopo_")
        assert name.endswith("_total") == (kind == "counter"), name
        assert name.endswith("_info") == (kind == "info"), name
        words = name.removesuffix("_total").removesuffix("_per_second").split("_")
        assert _UNITS & set(words[-2:]), f"{name} has no unit"


def test_no_series_is_there_twice(page: tuple[Path, list[Family]]) -> None:
    for family in page[1]:
        labels = [labels for labels, _ in family.samples]
        assert len(set(labels)) == len(labels), family.series.name
    names = [family.series.name for family in page[1]]
    assert len(set(names)) == len(names)


def test_labels_are_bounded(page: tuple[Path, list[Family]]) -> None:
    for family in parse(text(page[1])):
        for sample in family.samples:
            for label, value in sample.labels.items():
                assert re.fullmatch(_values(sample.name, label), value), f"{sample.name}: {label}={value!r}"


def _values(name: str, label: str) -> str:
    if name == "nvtopo_gpu_pair_bandwidth_bytes_per_second" and label == "link":
        return _PAIR_LINK
    return next((values for labels, values in _BOUNDED.items() if label in labels.split("|")), _WORD)


def test_a_page_is_as_small_as_its_machine(page: tuple[Path, list[Family]]) -> None:
    count = {family.series.name: len(family.samples) for family in page[1]}
    links, gpus = count.get("nvtopo_nvlink_info", 0), count.get("nvtopo_gpu_info", 0)
    ports = count.get("nvtopo_rdma_port_active", 0) * _MOST_SERIES_OF_A_PORT
    most = links * _MOST_SERIES_OF_A_LINK + gpus * _MOST_SERIES_OF_A_GPU + ports + _MOST_SERIES_OF_THE_REST
    most += count.get("nvtopo_cpu_busy_seconds_total", 0) * _MOST_SERIES_OF_A_CPU
    most += count.get("nvtopo_pod_remote_memory_ratio", 0) * _MOST_SERIES_OF_A_CONTAINER
    assert sum(count.values()) <= most


def test_every_declaration_is_one_clean_line() -> None:
    for series in AGENT:
        assert isinstance(series, Series)
        for words in (series.words, series.source, series.absent):
            assert words
            assert not set(words) & set('\n\\"|'), f"{series.name}: {words}"
