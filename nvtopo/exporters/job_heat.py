"""A job's document with the heat of its GPUs, as Prometheus has it: pure functions."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from msgspec.structs import replace

from nvtopo.cluster.graph import ClusterGraph
from nvtopo.cluster.nodes import GraphNode
from nvtopo.exporters.heat_readings import FRESH_SECONDS, Figure, Readings
from nvtopo.exporters.heat_records import (
    WORDS,
    GpuHeat,
    GpuSlowdown,
    GpuTemperature,
    HeatState,
    HotGpu,
    JobHeat,
    NvlinkUse,
)
from nvtopo.exporters.job_document import JobDocument, JobPod
from nvtopo.model.conclusions import names
from nvtopo.model.records.node import Gpu

MOST_WORST: Final = 16
HOT_CELSIUS: Final = 5.0
"""At most so far below the temperature at which it slows down, a GPU is hot."""
#: No die is colder or hotter, and no limit farther away.
_COLDEST, _HOTTEST, _FARTHEST = -50.0, 200.0, 300.0
#: Scrapes and the agent's samples are not of the same moment, so a rate may come out a little too high.
_MOST_SHARE: Final = 1.25
_MOST_BYTES_PER_SECOND: Final = 1e14
_STATES: Final[dict[str, HeatState]] = {
    "hardware_thermal": "heat",
    "software_thermal": "heat",
    "hardware_slowdown": "hardware",
    "hardware_power_brake": "hardware",
    "software_power_cap": "power",
}


class Told(NamedTuple):
    """What was told of a job's nodes."""

    readings: Readings
    seconds_ago: float = 0.0
    """How long ago Prometheus answered."""
    error: str = ""
    """Why not all of it is known."""


class GpuOfNode(NamedTuple):
    """What a reading is joined with."""

    uuid: str
    nvlink_bytes_per_second: int | None
    """What its usable NVLinks carry in one direction; None if that is not known."""


GuardedGpus = Callable[[GraphNode, Callable[[], Mapping[str, GpuOfNode]]], Mapping[str, GpuOfNode] | None]
"""What works something out of a node; None if that can't be done."""


def _plainly(_node: GraphNode, work: Callable[[], Mapping[str, GpuOfNode]]) -> Mapping[str, GpuOfNode] | None:
    return work()


def heated(job: JobDocument, told: Told, graph: ClusterGraph, guarded: GuardedGpus = _plainly) -> JobDocument:
    """The job with what was told of the GPUs that its pods hold, and of no other."""
    gpus = {name: _gpus(graph.nodes.get(name), guarded) for name in job.nodes}
    pods = tuple(replace(pod, heat=_of_pod(pod, gpus[pod.node], told)) for pod in job.pods)
    return replace(job, pods=pods, heat=_summary(pods, told))


def _gpus(node: GraphNode | None, guarded: GuardedGpus) -> Mapping[str, GpuOfNode]:
    if node is None or node.topology is None:
        return {}
    topology = node.topology
    found = guarded(node, lambda: {names.gpu(gpu.index): GpuOfNode(gpu.uuid, capacity(gpu)) for gpu in topology.gpus})
    return found or {}


def capacity(gpu: Gpu) -> int | None:
    """What its usable NVLinks carry in one direction, in bytes per second."""
    rates = [
        None if one.bytes_per_second is None else one.count * one.bytes_per_second for one in gpu.nvlinks if one.usable
    ]
    known = [rate for rate in rates if rate]
    return sum(known) if known and len(known) == len(rates) else None


def _of_pod(pod: JobPod, gpus: Mapping[str, GpuOfNode], told: Told) -> dict[str, GpuHeat] | None:
    return None if pod.gpus is None else {gpu: gpu_heat(pod.node, gpus.get(gpu), told) for gpu in pod.gpus}


def gpu_heat(node: str, gpu: GpuOfNode | None, told: Told) -> GpuHeat:
    """What was told of one GPU; None is one that the node does not have."""
    if gpu is None:
        return GpuHeat(state="unknown", temperature=None, hot=None, slowdown=None, sent=None, received=None)

    def figure(name: str) -> Figure | None:
        found = told.readings.get(name, {}).get((node, gpu.uuid))
        if found is None or found.age_seconds + told.seconds_ago > FRESH_SECONDS:
            return None
        return found._replace(age_seconds=found.age_seconds + told.seconds_ago)

    temperature, slowdown = _temperature(figure("temperature"), figure("margin")), _slowdown(figure("slowdown"))
    margin = None if temperature is None else temperature.below_slowdown_celsius
    hot = None if margin is None else margin <= HOT_CELSIUS
    return GpuHeat(
        state=_state(temperature, hot, slowdown),
        temperature=temperature,
        hot=hot,
        slowdown=slowdown,
        sent=_use(figure("sent"), gpu.nvlink_bytes_per_second),
        received=_use(figure("received"), gpu.nvlink_bytes_per_second),
    )


def _temperature(figure: Figure | None, margin: Figure | None) -> GpuTemperature | None:
    if figure is None or not _COLDEST <= figure.value <= _HOTTEST:
        return None
    below = margin.value if margin is not None and abs(margin.value) <= _FARTHEST else None
    return GpuTemperature(celsius=figure.value, below_slowdown_celsius=below, age_seconds=int(figure.age_seconds))


def _slowdown(figure: Figure | None) -> GpuSlowdown | None:
    return None if figure is None else GpuSlowdown(reasons=figure.reasons, age_seconds=int(figure.age_seconds))


def _use(figure: Figure | None, carries: int | None) -> NvlinkUse | None:
    if figure is None or not 0 <= figure.value <= (
        _MOST_BYTES_PER_SECOND if carries is None else _MOST_SHARE * carries
    ):
        return None
    share = None if carries is None else round(min(1.0, figure.value / carries), 4)
    return NvlinkUse(bytes_per_second=round(figure.value), share=share, age_seconds=int(figure.age_seconds))


def _summary(pods: tuple[JobPod, ...], told: Told) -> JobHeat:
    gpus = [(pod, name, heat) for pod in pods for name, heat in (pod.heat or {}).items()]
    known = sum(heat.temperature is not None and heat.slowdown is not None for _pod, _name, heat in gpus)
    untold = sum(pod.heat is None for pod in pods)
    bad = sorted(
        (_hot(pod, name, heat) for pod, name, heat in gpus if heat.state not in {"ok", "unknown"}), key=_badness
    )
    return JobHeat(
        gpus=len(gpus),
        known=known,
        unknown="; ".join(_unknown(len(gpus), known, untold, told)) or None,
        worst=tuple(bad[:MOST_WORST]),
        left_off=len(bad[MOST_WORST:]),
    )


def _hot(pod: JobPod, gpu: str, heat: GpuHeat) -> HotGpu:
    return HotGpu(
        node=pod.node,
        gpu=gpu,
        pod=pod.name,
        state=heat.state,
        celsius=None if heat.temperature is None else heat.temperature.celsius,
        reasons=() if heat.slowdown is None else heat.slowdown.reasons,
    )


def _badness(gpu: HotGpu) -> tuple[int, float, str, str]:
    degrees = float("-inf") if gpu.celsius is None else gpu.celsius
    return [*WORDS].index(gpu.state), -degrees, gpu.node, gpu.gpu


def _unknown(gpus: int, known: int, untold: int, told: Told) -> Iterator[str]:
    if told.error:
        yield told.error
    elif known < gpus:
        yield (
            f"Prometheus has no temperature and clock events of {gpus - known} of {gpus} GPUs that are younger than"
            f" {FRESH_SECONDS:.0f} s, by node and UUID: expected the agents' series with the label node"
        )
    if untold:
        yield f"it is not known which GPUs {untold} of the pods hold"


def _state(temperature: GpuTemperature | None, hot: bool | None, slowdown: GpuSlowdown | None) -> HeatState:  # noqa: FBT001
    reasons = () if slowdown is None else slowdown.reasons
    found = {_STATES[reason] for reason in reasons} | ({"hot"} if hot else set())
    rest: HeatState = "unknown" if temperature is None or slowdown is None else "ok"
    return next((state for state in WORDS if state in found), rest)
