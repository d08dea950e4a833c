"""Every series that nvtopo has, for docs/metrics.md and for tests that check whether a name exists."""

from collections.abc import Iterable
from typing import Final

from nvtopo.aggregator import metrics as aggregator
from nvtopo.sinks.metrics import (
    changes,
    deliveries,
    fabric,
    gpus,
    health,
    links,
    nics,
    numa,
    nvlink,
    observation,
    pairs,
    pause,
    pods,
    processes,
    rdma,
    rdma_counters,
    rdma_resources,
    sampler,
    versions,
    xids,
)
from nvtopo.sinks.metrics.series import Series

#: Heading → the series below it.
AGENT_PARTS: Final[dict[str, tuple[Series, ...]]] = {
    "The agent": observation.SERIES,
    "Sinks": deliveries.SERIES,
    "Changes": changes.SERIES,
    "Versions": versions.SERIES,
    "Health": health.SERIES,
    "GPUs and NVLinks as they are": links.SERIES,
    "GPU pairs": pairs.SERIES,
    "NVLink traffic and errors": nvlink.SERIES,
    "PCIe, heat and power": gpus.SERIES,
    "Fabric, PCIe links, C2C": fabric.SERIES,
    "NICs": nics.SERIES,
    "RDMA ports": rdma.SERIES,
    "RDMA counters": rdma_counters.SERIES,
    "Pause of RoCE ports": pause.SERIES,
    "RDMA resources": rdma_resources.SERIES,
    "NUMA and CPU": numa.SERIES,
    "Containers that hold GPUs": pods.SERIES,
    "NVML events": xids.SERIES,
    "The sampler": sampler.SERIES,
    "The agent's processes": processes.SERIES,
}
AGENT: Final = tuple(series for part in AGENT_PARTS.values() for series in part)
AGGREGATOR: Final = aggregator.SERIES

_HEAD: Final = """# Metrics

`make golden` writes this page from the declarations in the code, and a test keeps the two equal. Names carry base
units. A series of bytes counts one direction. An unknown value has no series: absent never means 0. The HELP of each
series gives the columns "what it says" and "absent when". GPU labels (`gpu`, `UUID`) join with dcgm-exporter's, port
labels (`device`, `port`) with node_exporter's.

The hardware bounds the number of series: at most 24 for each NVLink (with all of Blackwell's counters), 75 for each
GPU, 80 for each RDMA port, one for each CPU and 500 for the rest of the node. No label holds free text; versions and
models are in `_info` series. Series of containers that hold GPUs come and go with the containers: at most 128
containers, each with four series for each NUMA node, one for each GPU and one more. For example, 8 containers with
one GPU each on two sockets have 80 series. Their labels are Kubernetes names without an ID: a restarted container
continues its series, a pod with another name starts new ones. The labels `namespace`, `pod` and `container` name the
container that holds the GPU, so a Prometheus that adds such labels to its targets needs `honor_labels: true` (the
component `service-monitor` sets it).
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
    return "".join((_COLUMNS, *rows))


def _code(words: str) -> str:
    """Escape a placeholder such as ``<device>``, which is not HTML."""
    return words.replace("<", "&lt;").replace(">", "&gt;")
