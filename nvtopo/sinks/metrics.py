"""The agent's metrics page, rendered from the current observation at the moment of the scrape.

Base units, one direction a series, labels ``gpu``/``UUID`` as dcgm-exporter and ``device``/``port`` as node_exporter
spell them. What the machine does not have, or could not be read, has no series.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric

from nvtopo import __version__
from nvtopo.model.derive import Derived
from nvtopo.model.node import NodeTopology
from nvtopo.model.snapshot import Snapshot


class Observation(NamedTuple):
    """One reading of the machine and what follows from it."""

    snapshot: Snapshot
    node: NodeTopology
    derived: Derived
    seconds: float
    """How long the reading took."""
    at_seconds: float
    """When it was made, Unix time."""


class ObservationCollector:
    """A prometheus-client collector over the latest observation; before the first there is only build info."""

    def __init__(self, latest: Callable[[], Observation | None]) -> None:
        self._latest = latest

    def collect(self) -> Iterator[Metric]:
        """All families of the page."""
        yield InfoMetricFamily("nvtopo_build", "The agent's version.", {"version": __version__})
        observation = self._latest()
        if observation is not None:
            yield from families(observation)


def families(observation: Observation) -> Iterator[Metric]:
    """The families that this observation has series for."""
    for family in (
        *_agent(observation),
        *_gpus(observation),
        *_nvlinks(observation),
        *_pairs(observation),
        *_nics(observation),
    ):
        if family.samples:
            yield family


def _agent(observation: Observation) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "nvtopo_observation_timestamp_seconds", "When the machine was last read.", observation.at_seconds
    )
    yield GaugeMetricFamily("nvtopo_observation_duration_seconds", "How long that took.", observation.seconds)
    problems = GaugeMetricFamily(
        "nvtopo_problems", "Things that should be readable and are not, by source.", labels=["source"]
    )
    counts: dict[str, int] = {}
    for problem in observation.node.problems:
        counts[problem.source] = counts.get(problem.source, 0) + 1
    for source, count in sorted(counts.items()):
        problems.add_metric([source], count)
    yield problems


def _gpus(observation: Observation) -> Iterator[Metric]:
    node, derived = observation.node, observation.derived
    info = InfoMetricFamily("nvtopo_gpu", "A GPU and its place.", labels=["gpu", "UUID"])
    for gpu in node.gpus:
        facts = {"pci_bus_id": gpu.pci_address or "", "modelName": gpu.name, "numa_node": _text(gpu.numa_node)}
        info.add_metric([str(gpu.index), gpu.uuid], facts | {"module_id": _text(gpu.module_id)})
    yield info
    verdict = GaugeMetricFamily(
        "nvtopo_fabric_verdict", "1 for what the node's NVLink fabric amounts to.", labels=["verdict"]
    )
    if node.gpus:
        yield GaugeMetricFamily("nvtopo_gpus", "GPUs that answer.", len(node.gpus))
        verdict.add_metric([derived.fabric], 1)
    yield verdict


def _nvlinks(observation: Observation) -> Iterator[Metric]:
    labels = ["gpu", "UUID", "link", "remote"]
    capacity = GaugeMetricFamily(
        "nvtopo_nvlink_capacity_bytes_per_second", "One direction of one link, as the driver reports it.", labels=labels
    )
    active = GaugeMetricFamily("nvtopo_nvlink_active", "1 where the link can carry traffic.", labels=labels)
    nvml = observation.snapshot.nvml
    for gpu in nvml.gpus if nvml else ():
        for link in gpu.nvlinks:
            values = [str(gpu.index), gpu.uuid, str(link.link), link.remote or ""]
            if link.state is not None:
                active.add_metric(values, float(link.state in ("active", "sleep")))
            if link.bytes_per_second is not None:
                capacity.add_metric(values, link.bytes_per_second)
    yield capacity
    yield active


def _pairs(observation: Observation) -> Iterator[Metric]:
    family = GaugeMetricFamily(
        "nvtopo_gpu_pair_bandwidth_bytes_per_second",
        "What two GPUs can send each other in one direction; source says whether the driver or a table knows.",
        labels=["gpu", "peer", "link", "source"],
    )
    for pair in observation.derived.gpu_pairs:
        if pair.bytes_per_second is not None:
            family.add_metric(
                [pair.a[3:], pair.b[3:], pair.link or "", pair.source or ""], float(pair.bytes_per_second)
            )
    yield family


def _nics(observation: Observation) -> Iterator[Metric]:
    node, derived = observation.node, observation.derived
    nearest = GaugeMetricFamily(
        "nvtopo_gpu_nearest_nic", "1 for each NIC nearest to a GPU, with how near.", labels=["gpu", "device", "level"]
    )
    for key, found in derived.nearest_nics.items():
        for name in found.nics:
            nearest.add_metric([key[3:], name, found.level or ""], 1)
    yield nearest
    mtu = GaugeMetricFamily("nvtopo_netdev_mtu_bytes", "A network device's MTU.", labels=["device"])
    for nic in node.nics:
        for netdev in nic.netdevs:
            if nic.mtu_bytes is not None:
                mtu.add_metric([netdev], nic.mtu_bytes)
    yield mtu
    active = GaugeMetricFamily(
        "nvtopo_rdma_port_active", "1 where the port's state is ACTIVE.", labels=["device", "port"]
    )
    for nic in node.nics:
        for port in nic.ports:
            active.add_metric([nic.name, str(port.number)], float(port.state == "ACTIVE"))
    yield active


def _text(number: int | None) -> str:
    """A label value; an unknown fact has an empty one, which to Prometheus is a label that is not there."""
    return "" if number is None else str(number)
