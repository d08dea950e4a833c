"""The NVLink fabric as each GPU sees it, and its PCIe and C2C links, on the metrics page.

From the latest observation, so as old as that. At most 19 series a GPU; every label value is of a closed set.
"""

from collections.abc import Callable, Iterator
from typing import Final

from nvtopo.model.conclusions.derive import Derived
from nvtopo.model.records.facts import GpuFabric, GpuFacts, PcieLink
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sinks.metrics.series import GPU, Family, Series, declared, gauge, info

_NO_FABRIC: Final = "the GPU has no fabric to register with (older than Hopper), or the driver does not report it"
_NO_C2C: Final = "the GPU has no C2C links"
_NO_LINK: Final = "the driver does not report it"

VERDICT = gauge(
    "nvtopo_fabric_verdict",
    "1 for the state of the node's NVLink fabric, summed up over its GPUs.",
    ("verdict",),
    source="nvmlDeviceGetGpuFabricInfoV of all GPUs",
    absent="no GPU answers",
)
STATE = gauge(
    "nvtopo_fabric_state",
    "1 for the state of the GPU's fabric registration: not-supported, not-started, in-progress or completed.",
    (*GPU, "state"),
    source="nvmlDeviceGetGpuFabricInfoV",
    absent=_NO_FABRIC,
)
CLIQUE = info(
    "nvtopo_fabric_clique_info",
    "The GPU's NVLink domain (cluster UUID) and its clique there, as labels; the value is always 1.",
    (*GPU, "cluster_uuid", "clique"),
    source="nvmlDeviceGetGpuFabricInfoV",
    absent="the GPU has not completed its registration",
)
PROBLEM = gauge(
    "nvtopo_fabric_problem",
    "1 if the driver reports this problem of the GPU's fabric, 0 if it reports that there is none.",
    (*GPU, "problem"),
    source="healthMask and healthSummary of nvmlDeviceGetGpuFabricInfoV",
    absent="the driver does not check this problem on the GPU",
)
GENERATION = gauge(
    "nvtopo_pcie_link_generation",
    "Current PCIe generation of the GPU's link. An idle GPU lowers it.",
    GPU,
    source="nvmlDeviceGetCurrPcieLinkGeneration",
    absent=_NO_LINK,
)
MAXIMUM_GENERATION = gauge(
    "nvtopo_pcie_link_maximum_generation",
    "Highest PCIe generation that the GPU and its slot both support.",
    GPU,
    source="nvmlDeviceGetMaxPcieLinkGeneration",
    absent=_NO_LINK,
)
WIDTH = gauge(
    "nvtopo_pcie_link_width_lanes",
    "Current width of the GPU's PCIe link, in lanes.",
    GPU,
    source="nvmlDeviceGetCurrPcieLinkWidth",
    absent=_NO_LINK,
)
MAXIMUM_WIDTH = gauge(
    "nvtopo_pcie_link_maximum_width_lanes",
    "Largest PCIe width that the GPU and its slot both support, in lanes.",
    GPU,
    source="nvmlDeviceGetMaxPcieLinkWidth",
    absent=_NO_LINK,
)
C2C_LINKS = gauge(
    "nvtopo_c2c_links",
    "Number of C2C links between the GPU and its Grace CPU.",
    GPU,
    source="NVML field 170",
    absent=_NO_C2C,
)
C2C_CAPACITY = gauge(
    "nvtopo_c2c_capacity_bytes_per_second",
    "Capacity of all C2C links of the GPU in one direction, in bytes per second.",
    GPU,
    source="NVML fields 170 and 172",
    absent=_NO_C2C,
)
SERIES = declared(globals())

STATES: Final = ("not-supported", "not-started", "in-progress", "completed")
#: Bit → name in the driver's health mask; two bits each: 0 does not apply, 1 true, 2 false.
_HEALTH_BITS: Final = {0: "degraded_bandwidth", 2: "route_recovery", 4: "route_unhealthy", 6: "access_timeout_recovery"}
_TRUE, _FALSE = 1, 2
#: Four bits: 0 does not apply, 1 none, more are kinds of wrong configuration.
_CONFIGURATION_SHIFT, _CONFIGURATION_MASK, _CONFIGURATION_RIGHT = 8, 0xF, 1

_PCIE: Final[dict[Series, Callable[[PcieLink], int | None]]] = {
    GENERATION: lambda link: link.generation,
    MAXIMUM_GENERATION: lambda link: link.max_generation,
    WIDTH: lambda link: link.width,
    MAXIMUM_WIDTH: lambda link: link.max_width,
}


def families(snapshot: Snapshot, derived: Derived) -> Iterator[Family]:
    """Fabric, PCIe and C2C of the GPUs that answer."""
    gpus = snapshot.nvml.gpus if snapshot.nvml else ()
    verdict = Family(VERDICT)
    if gpus:
        verdict.add(1, derived.fabric)
    yield verdict
    yield from _fabric(gpus)
    yield from _pcie(gpus)
    yield from _c2c(gpus)


def _pcie(gpus: tuple[GpuFacts, ...]) -> Iterator[Family]:
    for series, fact in _PCIE.items():
        family = Family(series)
        for gpu in gpus:
            if gpu.link is not None:
                family.add(fact(gpu.link), str(gpu.index), gpu.uuid)
        yield family


def _fabric(gpus: tuple[GpuFacts, ...]) -> Iterator[Family]:
    state, clique, problem = Family(STATE), Family(CLIQUE), Family(PROBLEM)
    for gpu in gpus:
        fabric, labels = gpu.fabric, (str(gpu.index), gpu.uuid)
        if fabric is None:
            continue
        for name in STATES if fabric.state else ():
            state.add(int(name == fabric.state), *labels, name)
        if fabric.state == "completed" and fabric.clique_id is not None:
            clique.add(1, *labels, fabric.cluster_uuid or "", str(fabric.clique_id))
        for name, holds in _problems(fabric):
            problem.add(int(holds), *labels, name)
    yield state
    yield clique
    yield problem


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


def _c2c(gpus: tuple[GpuFacts, ...]) -> Iterator[Family]:
    links, capacity = Family(C2C_LINKS), Family(C2C_CAPACITY)
    for gpu in gpus:
        labels = (str(gpu.index), gpu.uuid)
        links.add(gpu.c2c_links, *labels)
        if gpu.c2c_links and gpu.c2c_bytes_per_second:
            capacity.add(gpu.c2c_links * gpu.c2c_bytes_per_second, *labels)
    yield links
    yield capacity
