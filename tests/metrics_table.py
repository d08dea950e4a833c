"""Every series that nvtopo has, for docs/metrics.md and for the tests that look whether a name exists."""

from collections.abc import Iterable
from typing import Final

from nvtopo.aggregator import metrics as aggregator
from nvtopo.sinks import (
    change_metrics,
    delivery_metrics,
    fabric_metrics,
    gpu_metrics,
    link_metrics,
    metrics,
    nic_metrics,
    numa_metrics,
    nvlink_metrics,
    pair_metrics,
    pause_metrics,
    pod_metrics,
    process_metrics,
    rdma_counter_metrics,
    rdma_metrics,
    rdma_resource_metrics,
    sampler_metrics,
    version_metrics,
    xid_metrics,
)
from nvtopo.sinks.series import Series

#: Heading → the series below it.
AGENT_PARTS: Final[dict[str, tuple[Series, ...]]] = {
    "The agent": metrics.SERIES,
    "Sinks": delivery_metrics.SERIES,
    "Changes": change_metrics.SERIES,
    "Versions": version_metrics.SERIES,
    "GPUs and NVLinks as they are": link_metrics.SERIES,
    "GPU pairs": pair_metrics.SERIES,
    "NVLink traffic and errors": nvlink_metrics.SERIES,
    "PCIe, heat and power": gpu_metrics.SERIES,
    "Fabric, PCIe links, C2C": fabric_metrics.SERIES,
    "NICs": nic_metrics.SERIES,
    "RDMA ports": rdma_metrics.SERIES,
    "RDMA counters": rdma_counter_metrics.SERIES,
    "Pause of RoCE ports": pause_metrics.SERIES,
    "RDMA resources": rdma_resource_metrics.SERIES,
    "NUMA and CPU": numa_metrics.SERIES,
    "Containers that hold GPUs": pod_metrics.SERIES,
    "NVML events": xid_metrics.SERIES,
    "The sampler": sampler_metrics.SERIES,
    "The agent's processes": process_metrics.SERIES,
}
AGENT: Final = tuple(series for part in AGENT_PARTS.values() for series in part)
AGGREGATOR: Final = aggregator.SERIES

_HEAD: Final = """# Metrics

Written from the declarations in the code by `make golden`; a test keeps it true. Units are base units and stand in the
name. A series of bytes counts one direction. What is not known has no series: absent is never 0. How a GPU is labelled
(`gpu`, `UUID`) joins with dcgm-exporter, how a port is (`device`, `port`) with node_exporter.

How many series there are is bounded by what is soldered in: at most 24 for each NVLink, with everything that Blackwell
answers, 75 for each GPU, 80 for each RDMA port, one for each CPU and 500 for the rest of the node. No label has free
text; versions and models are in `_info` series. Containers that hold GPUs come and go, and their series with them:
for each of at most 128, four for each NUMA node, one for each GPU and one more, so 8 containers of one GPU each on two
sockets have 80. Their labels are names of Kubernetes without an ID: a container that is started anew goes on in its
series, a pod of another name has series of its own. Where Prometheus gives targets the labels `namespace`, `pod` and
`container`, it needs `honor_labels: true` (the component `service-monitor` has it): these are the GPUs' holders.
"""
_COLUMNS: Final = "| series | type | labels | what it says | read from | absent when |\n|---|---|---|---|---|---|\n"


def document() -> str:
    """``docs/metrics.md``."""
    agent = [f"\n### {title}\n\n{_table(part)}" for title, part in AGENT_PARTS.items()]
    return "".join(
        (_HEAD, "\n## A node's page: `nvtopo agent`\n", *agent, "\n## The aggregator's page\n\n", _table(AGGREGATOR))
    )


def _table(part: Iterable[Series]) -> str:
    rows = (
        f"| `{series.name}` | {series.kind} | {' '.join(f'`{label}`' for label in series.labels)} "
        f"| {series.words} | {_code(series.source)} | {_code(series.absent)} |\n"
        for series in part
    )
    return "".join(
        ("| series | type | labels | what it says | read from | absent when |\n|---|---|---|---|---|---|\n", *rows)
    )


def _code(words: str) -> str:
    """A placeholder such as ``<device>`` is no HTML."""
    return words.replace("<", "&lt;").replace(">", "&gt;")
