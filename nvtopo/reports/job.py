"""One job as text for people."""

from collections.abc import Iterable, Iterator
from typing import Final

from nvtopo.exporters.heat_records import WORDS, GpuHeat, HeatState, HotGpu, JobHeat, NvlinkUse
from nvtopo.exporters.job_document import JobDocument, JobPair, JobPod, JobTier
from nvtopo.model.formats.printable import printable
from nvtopo.reports.columns import columns
from nvtopo.sinks.text.words import counted, gigabits, gigabytes

_HEAD: Final = ("RANK", "POD", "NODE", "GPUS", "NVLINK GROUPS", "NICS", "RAILS")
_HEAT_HEAD: Final = ("HEAT", "NVLINK USE")
#: What stands out; the limit of power is where a busy GPU may well be.
_MARKS: Final[dict[HeatState, str]] = {"heat": "slowed", "hardware": "slowed", "hot": "hot"}
_MOST_DOMAINS: Final = 16


def text(job: JobDocument) -> str:
    """What all of it has in common, one line for each pod, and one for each tier; ``?`` is what nobody knows."""
    hot = job.heat is not None
    rows = [
        (*_HEAD, *(_HEAT_HEAD if hot else ())),
        *((*_row(pod, job), *(_heat(pod) if hot else ())) for pod in job.pods),
    ]
    lines = (*_head(job), "", *columns(rows), *_left(job), "", *map(_tier, job.tiers))
    return "".join(f"{printable(line)}\n" for line in lines)


def _head(job: JobDocument) -> Iterator[str]:
    pods, nodes = counted(len(job.pods) + job.left_off, "pod"), counted(len(job.nodes), "node")
    yield f"{job.namespace}/{job.name}: {pods} on {nodes}"
    yield f"meets in: {job.meets or '?'}"
    if job.slowest_nic is not None:
        found = job.slowest_nic
        yield f"slowest NIC: {found.nic} of {found.node}, {gigabits(found.bytes_per_second)}"
    if job.slowest_pair is not None:
        yield f"slowest pair: {_pair(job.slowest_pair)}"
    if job.heat is not None:
        yield from _warmth(job.heat)


def _warmth(heat: JobHeat) -> Iterator[str]:
    """The worst GPUs, worst first, and what is not known."""
    bad = len(heat.worst) + heat.left_off
    found = f", {bad} hot or held back" if heat.known or bad else ""
    yield f"heat: known of {heat.known} of {counted(heat.gpus, 'GPU')}{found}"
    yield from (f"  {one.node} {one.gpu} ({one.pod}): {_state(one)}" for one in heat.worst)
    if heat.left_off:
        yield f"  and {heat.left_off} more"
    if heat.unknown:
        yield f"heat not known: {heat.unknown}"


def _state(gpu: HotGpu) -> str:
    degrees = "? °C" if gpu.celsius is None else f"{gpu.celsius:.0f} °C"
    return f"{degrees}, {WORDS[gpu.state]}" + (f" ({', '.join(gpu.reasons)})" if gpu.reasons else "")


def _heat(pod: JobPod) -> tuple[str, str]:
    heat = [*(pod.heat or {}).values()]
    marks = [f"{gpu}({_MARKS[one.state]})" for gpu, one in (pod.heat or {}).items() if one.state in _MARKS]
    sent, received = _use(one.sent for one in heat), _use(one.received for one in heat)
    return " ".join([_degrees(heat), *marks]), f"sent {sent}, received {received}"


def _degrees(heat: list[GpuHeat]) -> str:
    known = [one.temperature.celsius for one in heat if one.temperature is not None]
    if not known:
        return "?"
    least, most = f"{min(known):.0f}", f"{max(known):.0f}"
    return f"{least if least == most else f'{least}-{most}'} °C" + (
        f" ({len(known)} known)" if len(known) < len(heat) else ""
    )


def _use(uses: Iterable[NvlinkUse | None]) -> str:
    """Of the GPU that uses its links most."""
    known = [one for one in uses if one is not None]
    if not known:
        return "?"
    most = max(known, key=lambda one: one.bytes_per_second)
    return gigabytes(most.bytes_per_second) or "0 GB/s" if most.share is None else f"{most.share:.0%}"


def _left(job: JobDocument) -> Iterator[str]:
    if job.left_off:
        yield f"and {counted(job.left_off, 'more pod')}"


def _pair(pair: JobPair) -> str:
    rate = gigabytes(pair.bytes_per_second)
    return f"{pair.a} - {pair.b} over {pair.link}" + (f", {rate}" if rate else "")


def _row(pod: JobPod, job: JobDocument) -> tuple[str, ...]:
    gpus = (
        None if pod.gpus is None else [gpu if level == "ok" else f"{gpu}({level})" for gpu, level in pod.gpus.items()]
    )
    node = job.nodes[pod.node]
    rails = [
        f"{'?' if one.rail is None else one.rail}:{one.leaf}"
        for one in (node.rails if node is not None else ())
        if not pod.nics or one.nic in pod.nics
    ]
    return (
        "-" if pod.rank is None else str(pod.rank),
        pod.name,
        pod.node,
        _some(gpus),
        _groups(pod),
        _some(pod.nics),
        ",".join(rails) or "?",
    )


def _groups(pod: JobPod) -> str:
    if pod.nvlink_groups is None:
        return "?"
    least = pod.nvlink_groups_possible
    return (
        f"{pod.nvlink_groups} ({least} would do)"
        if least is not None and least < pod.nvlink_groups
        else str(pod.nvlink_groups)
    )


def _some(names: list[str] | tuple[str, ...] | None) -> str:
    return "?" if names is None else ",".join(names) or "-"


def _tier(tier: JobTier) -> str:
    shown = [f"{one.name} ({counted(len(one.nodes), 'node')})" for one in tier.domains[:_MOST_DOMAINS]]
    if len(tier.domains) > _MOST_DOMAINS:
        shown.append(f"{len(tier.domains) - _MOST_DOMAINS} more")
    if tier.unknown:
        shown.append(f"not known of {counted(len(tier.unknown), 'node')}")
    return f"{tier.tier}: {', '.join(shown)}"
