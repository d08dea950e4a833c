"""Metrics of the gangs that this replica places."""

from collections.abc import Callable, Iterator
from typing import Final

from nvtopo.aggregator.gang_keeper import GangKeeper
from nvtopo.gangs.steps import ClaimFigures, Result
from nvtopo.placement.pods import GpuPod
from nvtopo.sinks.metrics.series import Family, Series, counter, declared, gauge, info

_NOT_ASKED: Final = "the aggregator runs without `--gangs`"

GANGS = gauge(
    "nvtopo_aggregator_gangs",
    "Number of gangs of pods, by state: waiting (some of its pods are gated, and it has no place), placed.",
    ("state",),
    source="the pods, and the reservations",
    absent=_NOT_ASKED,
)
WRITES = counter(
    "nvtopo_aggregator_gang_writes_total",
    "Number of writes to pods of gangs by this replica, by result: written, gone, refused (this pod), unavailable"
    " (throttled or no answer).",
    ("result",),
    source="the API server's answers",
    absent=_NOT_ASKED,
)
MOVED = counter(
    "nvtopo_aggregator_gang_moves_total",
    "Number of ranks of gangs that got another place because theirs could not be used.",
    source="the Nodes, the graph and the pods",
    absent=_NOT_ASKED,
)
_NO_CLAIMS: Final = "the aggregator runs without `--gang-claims`"
BARRIER = gauge(
    "nvtopo_aggregator_gang_barrier",
    "Whether gangs whose pods ask for GPUs by claims are held until all of their pods have their GPUs: 1, or 0 if the"
    " API server does not know binding conditions.",
    source="the ResourceSlice `nvtopo-gangs.topo.nvtopo.io`, as the API server keeps it",
    absent=f"{_NO_CLAIMS}; this replica has not led yet",
)
HELD = gauge(
    "nvtopo_aggregator_gangs_held",
    "Number of gangs that are held now because not all of their pods have their GPUs.",
    source="the claims of their pods",
    absent=_NO_CLAIMS,
)
GIVEN_BACK = counter(
    "nvtopo_aggregator_gangs_given_back_total",
    "Number of times that this replica gave all GPUs of a gang back, since one went to another claim or not all came in"
    " time. The gang is placed again.",
    source="the claims of their pods",
    absent=_NO_CLAIMS,
)
_NOT_SAID: Final = "no pod of the gang has the annotation"
_NAMES: Final = ("namespace", "gang", "level")
PREDICTED_BUS = gauge(
    "nvtopo_aggregator_gang_predicted_bus_bytes_per_second",
    "Bus bandwidth of a large collective over the gang, as its placement predicts it, in bytes per second. `level` is"
    " the tier inside which the gang is.",
    _NAMES,
    source="the rate of the slowest link on the way",
    absent="no pod of the gang says what was measured",
)
MEASURED_BUS = gauge(
    "nvtopo_aggregator_gang_measured_bus_bytes_per_second",
    "Bus bandwidth of a large collective over the gang, as its job measured it, in bytes per second.",
    _NAMES,
    source="the annotation `nvtopo.io/measured-bus-bandwidth` of a pod",
    absent=_NOT_SAID,
)
PREDICTED_COST = gauge(
    "nvtopo_aggregator_gang_predicted_seconds",
    "The whole cost of the gang's placement, as predicted, in seconds.",
    _NAMES,
    source="`cost.total` of its Assignment",
    absent="no pod of the gang says what was measured",
)
MEASURED_STEP = gauge(
    "nvtopo_aggregator_gang_measured_step_seconds",
    "How long a step of the gang takes, as its job measured it, in seconds.",
    _NAMES,
    source="the annotation `nvtopo.io/measured-step-seconds` of a pod",
    absent=_NOT_SAID,
)
WORKLOAD = info(
    "nvtopo_pod_workload_info",
    "What a bound pod with GPUs, claims or a gang is part of; the value is always 1. Joined by `namespace` and `pod`,"
    " it gives the agents' `nvtopo_pod_…` series the names of job, gang and rank. A name that is not known is absent.",
    ("namespace", "pod", "node", "job", "gang", "rank"),
    source="the pods' labels (JobSet, LeaderWorkerSet, Kubeflow, Ray, Job; `nvtopo.io/gang`) and `nvtopo.io/rank`",
    absent=f"{_NOT_ASKED}; beyond 20,000 pods",
)
SERIES = declared(globals())
_MEASURED: Final[tuple[tuple[Series, Callable[[Result], float | None]], ...]] = (
    (PREDICTED_BUS, lambda result: result.predicted_bus),
    (MEASURED_BUS, lambda result: result.measured_bus),
    (PREDICTED_COST, lambda result: result.predicted_seconds),
    (MEASURED_STEP, lambda result: result.measured_step),
)


def families(keeper: GangKeeper) -> Iterator[Family]:
    """The families at this moment."""
    gangs, writes, figures = Family(GANGS), Family(WRITES), keeper.figures
    gangs.add(figures.waiting, "waiting")
    gangs.add(figures.placed, "placed")
    for outcome, count in keeper.applier.figures.outcomes.items():
        writes.add(count, outcome.value)
    moved = Family(MOVED)
    moved.add(keeper.moved)
    yield from (gangs, writes, moved, *claims(keeper.barrier, keeper.claim_figures))
    yield from (workloads(keeper.bound), *measured(keeper.results))


def claims(barrier: bool | None, figures: ClaimFigures | None) -> Iterator[Family]:  # noqa: FBT001 - a value, no switch
    """How the barrier does."""
    there, held, given_back = Family(BARRIER), Family(HELD), Family(GIVEN_BACK)
    there.add(None if barrier is None else int(barrier))
    held.add(None if figures is None else figures.held)
    given_back.add(None if figures is None else figures.given_back)
    yield from (there, held, given_back)


def workloads(pods: tuple[GpuPod, ...]) -> Family:
    """What each pod is part of."""
    family = Family(WORKLOAD)
    for pod in sorted(pods, key=lambda one: one.key):
        gang = f"{pod.gang}/{pod.group}" if pod.group and pod.gang else pod.gang
        rank = "" if pod.rank is None else str(pod.rank)
        family.add(1, pod.namespace, pod.name, pod.node, pod.job, gang, rank)
    return family


def measured(results: tuple[Result, ...]) -> Iterator[Family]:
    """What gangs measured, beside what was predicted of them."""
    for series, value in _MEASURED:
        family = Family(series)
        for result in results:
            family.add(value(result), result.namespace, result.gang, result.level)
        yield family
