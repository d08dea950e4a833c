"""docs/metrics.md is what the code declares, and every declaration is seen on some machine's page."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from nvtopo.sinks.metrics import processes as process_metrics
from nvtopo.sinks.metrics.series import NEVER, Series
from tests import golden
from tests.hosts.recorded import HOSTS
from tests.metrics_table import AGENT, AGGREGATOR, document

DOCS: Final = Path(__file__).resolve().parents[1] / "docs" / "metrics.md"
#: Series that only a live machine has, so no recorded one shows them (libibverbs among them).
LIVE_ONLY: Final = frozenset(
    {
        "nvtopo_gpu_nvml_events_total",
        "nvtopo_gpu_xid_errors_total",
        "nvtopo_numa_hugepages_free",
        "nvtopo_nvml_events_gpus",
        "nvtopo_rdma_ethtool_up",
        "nvtopo_rdma_netlink_up",
        "nvtopo_rdma_pause_frames_received_total",
        "nvtopo_rdma_pause_frames_transmitted_total",
        "nvtopo_rdma_pause_received_seconds_total",
        "nvtopo_rdma_pause_transmitted_seconds_total",
        "nvtopo_rdma_port_active_mtu_bytes",
        "nvtopo_rdma_port_mtu_mismatch",
        "nvtopo_rdma_queue_pair_counters",
        "nvtopo_rdma_queue_pairs",
        "nvtopo_rdma_resources",
        "nvtopo_sink_up",
        *(series.name for series in process_metrics.SERIES),
    }
)


def test_the_table_is_what_the_code_declares() -> None:
    golden.check(document(), DOCS)


def test_every_series_is_on_some_page() -> None:
    pages = "".join((host / "expected" / "metrics.prom").read_text(encoding="utf-8") for host in HOSTS)
    seen = set(re.findall(r"^(nvtopo_\w+)", pages, re.MULTILINE))
    assert {series.name for series in AGENT} - seen == LIVE_ONLY


def test_no_name_is_declared_twice() -> None:
    names = [series.name for series in (*AGENT, *AGGREGATOR)]
    assert len(set(names)) == len(names)


#: How a name ends → what its HELP must mention.
UNITS: Final[Mapping[str, str]] = {
    "_bytes": r"\bbytes\b",
    "_bytes_total": r"\b[Bb]ytes\b",
    "_bytes_per_second": r"\bbytes per second\b",
    "_seconds": r"\bseconds\b",
    "_seconds_total": r"\bseconds\b",
    "_ratio": r"\b0 to 1\b|\bdivided by\b",
    "_celsius": r"\bdegrees Celsius\b",
    "_joules_total": r"\bjoules\b",
    "_watts": r"\bwatts\b",
    "_hertz": r"\bhertz\b",
    "_lanes": r"\blanes\b",
    "_info": r"\bthe value is always 1\b",
}
FEWEST_WORDS: Final = 6


def faults(series: Series) -> list[str]:
    """What a HELP text lacks: enough words, whole sentences, its unit, a clause that says when it is absent."""
    found = []
    if len(series.words.split()) < FEWEST_WORDS:
        found.append("says too little")
    if not series.words[0].isupper() and not series.words[0].isdigit():
        found.append("starts with neither a capital nor a digit")
    if not series.words.endswith(".") or ".." in series.help:
        found.append("does not end with one full stop")
    unit = next((pattern for end, pattern in UNITS.items() if series.name.endswith(end)), "")
    if not re.search(unit, series.words):
        found.append("does not name its unit")
    if series.absent != NEVER and not re.match(r"(the|an?|no|there|one|fewer) [\w']+ ", series.absent):
        found.append(f"{series.absent!r} does not follow 'Absent when'")
    return found


def test_every_help_says_what_in_which_unit_and_when_it_is_absent() -> None:
    found = {series.name: faults(series) for series in (*AGENT, *AGGREGATOR)}
    assert {name: words for name, words in found.items() if words} == {}


def test_a_poor_help_is_found() -> None:
    poor = Series("nvtopo_x_bytes", "gauge", "now", (), "a file", "none")
    assert len(faults(poor)) == 5
