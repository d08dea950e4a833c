"""docs/metrics.md is what the code declares, and every declaration is seen on some machine's page."""

import re
from pathlib import Path
from typing import Final

from nvtopo.sinks.metrics import processes as process_metrics
from tests import golden
from tests.hosts.recorded import HOSTS
from tests.metrics_table import AGENT, AGGREGATOR, document

DOCS: Final = Path(__file__).resolve().parents[1] / "docs" / "metrics.md"
#: On no recorded machine: what only this very moment's machine has, verbs among it.
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
