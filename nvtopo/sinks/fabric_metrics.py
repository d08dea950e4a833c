"""The slow facts that go with the sampler's counters: PCIe links against their maximum, fabric and C2C of each GPU.

From the latest observation, so as old as that. At most 18 series a GPU; every label value is of a closed set.
"""

from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from nvtopo.model.facts import GpuFabric, GpuFacts, PcieLink
from nvtopo.sinks.metrics import Observation

STATES = ("not-supported", "not-started", "in-progress", "completed")
#: Bit → name in the driver's health mask; two bits each: 0 does not apply, 1 true, 2 false.
_HEALTH_BITS = {0: "degraded_bandwidth", 2: "route_recovery", 4: "route_unhealthy", 6: "access_timeout_recovery"}
_TRUE, _FALSE = 1, 2
#: Four bits: 0 does not apply, 1 none, more are kinds of wrong configuration.
_CONFIGURATION_SHIFT, _CONFIGURATION_MASK, _CONFIGURATION_RIGHT = 8, 0xF, 1
_GPU = ["gpu", "UUID"]


class FabricCollector:
    """A prometheus-client collector over the latest observation."""

    def __init__(self, latest: Callable[[], Observation | None]) -> None:
        self._latest = latest

    def collect(self) -> Iterator[Metric]:
        """The families that have series."""
        observation = self._latest()
        nvml = observation.snapshot.nvml if observation else None
        gpus = nvml.gpus if nvml else ()
        yield from (family for family in (*_pcie(gpus), *_fabric(gpus), *_c2c(gpus)) if family.samples)


def _pcie(gpus: tuple[GpuFacts, ...]) -> Iterator[GaugeMetricFamily]:
    facts: dict[str, tuple[str, Callable[[PcieLink], int | None]]] = {
        "nvtopo_pcie_link_generation": ("Now; GPUs lower it while idle.", lambda link: link.generation),
        "nvtopo_pcie_link_maximum_generation": ("Of GPU and slot together.", lambda link: link.max_generation),
        "nvtopo_pcie_link_width_lanes": ("Now.", lambda link: link.width),
        "nvtopo_pcie_link_maximum_width_lanes": ("Of GPU and slot together.", lambda link: link.max_width),
    }
    for name, (words, fact) in facts.items():
        family = GaugeMetricFamily(name, words, labels=_GPU)
        for gpu in gpus:
            if gpu.link is not None:
                _add(family, gpu, fact(gpu.link))
        yield family


def _fabric(gpus: tuple[GpuFacts, ...]) -> Iterator[GaugeMetricFamily]:
    state = GaugeMetricFamily(
        "nvtopo_fabric_state", "1 for how far the GPU's registration came.", labels=[*_GPU, "state"]
    )
    clique = GaugeMetricFamily("nvtopo_fabric_clique", "The GPU's clique in its NVLink domain.", labels=_GPU)
    health = GaugeMetricFamily(
        "nvtopo_fabric_problem", "1 where the driver's health mask says so.", labels=[*_GPU, "problem"]
    )
    for gpu in gpus:
        if gpu.fabric is not None:
            for name in STATES if gpu.fabric.state else ():
                _add(state, gpu, float(name == gpu.fabric.state), name)
            _add(clique, gpu, gpu.fabric.clique_id if gpu.fabric.state == "completed" else None)
            for problem, holds in _problems(gpu.fabric):
                _add(health, gpu, float(holds), problem)
    yield state
    yield clique
    yield health


def _problems(fabric: GpuFabric) -> Iterator[tuple[str, bool]]:
    """What the mask applies to, and whether it holds."""
    mask = fabric.health_mask or 0
    for shift, name in _HEALTH_BITS.items():
        if (mask >> shift & 3) in (_TRUE, _FALSE):
            yield name, mask >> shift & 3 == _TRUE
    if configuration := mask >> _CONFIGURATION_SHIFT & _CONFIGURATION_MASK:
        yield "incorrect_configuration", configuration != _CONFIGURATION_RIGHT
    if fabric.health_summary is not None:
        yield "unhealthy", fabric.health_summary == "unhealthy"
        yield "limited_capacity", fabric.health_summary == "limited-capacity"


def _c2c(gpus: tuple[GpuFacts, ...]) -> Iterator[GaugeMetricFamily]:
    links = GaugeMetricFamily("nvtopo_c2c_links", "Links between the GPU and its CPU (Grace).", labels=_GPU)
    capacity = GaugeMetricFamily(
        "nvtopo_c2c_capacity_bytes_per_second", "One direction of all C2C links of a GPU.", labels=_GPU
    )
    for gpu in gpus:
        _add(links, gpu, gpu.c2c_links)
        if gpu.c2c_links and gpu.c2c_bytes_per_second:
            _add(capacity, gpu, gpu.c2c_links * gpu.c2c_bytes_per_second)
    yield links
    yield capacity


def _add(family: GaugeMetricFamily, gpu: GpuFacts, value: float | None, *more: str) -> None:
    if value is not None:
        family.add_metric([str(gpu.index), gpu.uuid, *more], value)
