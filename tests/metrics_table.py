"""Every series that nvtopo has, for docs/metrics.md and for the tests that look whether a name exists."""

from collections.abc import Iterable
from typing import Final

from nvtopo.aggregator import metrics as aggregator
from nvtopo.sinks.metrics import (
    changes,
    deliveries,
    fabric,
    gpus,
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
