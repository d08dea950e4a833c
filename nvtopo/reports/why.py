"""Why a node is not ready, why a label is not there, why a pod does not fit: for people and as JSON."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from nvtopo.checks.label_path import LabelPath, Step
from nvtopo.checks.pod_fit import PodFit
from nvtopo.checks.report import NodeReport
from nvtopo.model.conclusions.features import PREFIX
from nvtopo.model.conclusions.label_table import LABELS
from nvtopo.model.formats.listing import listed
from nvtopo.model.formats.printable import printable
from nvtopo.model.records.record import Record
from nvtopo.reports import text
from nvtopo.reports.text import Style, plain
from nvtopo.sinks.text.words import counted

_PLACES: Final = {
    "facts": "facts",
    "feature-file": "feature file",
    "node-feature": "NodeFeature",
    "node": "Node",
}
_LOOKS: Final = {"passed": "ok", "missing": "fault", "differs": "degraded", "left-over": "degraded"}
_AT: Final = {"feature-file": "in the feature file", "node-feature": "in a NodeFeature", "node": "on the Node"}
_MOST_CAUSES: Final = 3
_MOST_NAMES: Final = 8


class Why(Record, frozen=True, kw_only=True, omit_defaults=False):
    """The answer."""

    node: str
    report: NodeReport | None
    """The node's health as ``doctor`` says it; null if its facts are not known."""
    labels: tuple[LabelPath, ...] = ()
    pod: PodFit | None = None
    """How a pod fits; null if none was asked about, or the labels are not known."""


def as_json(why: Why) -> bytes:
    """The answer, indented."""
    return msgspec.json.format(msgspec.json.encode(why), indent=2) + b"\n"


def one_label(why: Why, style: Style = plain) -> str:
    """The whole way of each label that was asked about, and of one that is absent also what the node says of itself."""
    lines: list[str] = []
    for path in why.labels:
        lines += _whole(path, why.node, style)
        if path.verdict == "absent" or path.label.endswith("/ready"):
            lines += _causes(why.report)
    return _text(lines)


def everything(why: Why, style: Style = plain) -> str:
    """Readiness, then how far the labels come."""
    head = text.node(why.report, why.node, style) if why.report is not None else ""
    arrived = [path for path in why.labels if path.verdict == "arrives"]
    lines = [_count(why.labels, len(arrived))] if why.labels else []
    groups: dict[tuple[str, str | None, str], list[LabelPath]] = {}
    for path in why.labels:
        if path.verdict != "arrives":
            groups.setdefault((path.verdict, path.ends, path.remedy), []).append(path)
    for group in groups.values():
        lines += _group(group, style)
    lines += _absent(why)
    return head + _text(lines)


def pod_fit(fit: PodFit, node: str, style: Style = plain) -> str:
    """What a pod asks for and the node's labels do not give."""
    if fit.fits:
        said = "the node's labels are what the pod asks for; resources, taints and other pods are not looked at"
        return f"{style(printable(node), 'ok')}: {said}\n"
    lines = [f"{style(printable(node), 'fault')}: the node's labels are not what the pod asks for"]
    for one in fit.unmet:
        found = "no such label" if one.found is None else one.found
        lines.append(f"  asked {printable(one.asked)}; found {printable(found)}")
    if fit.other_terms:
        lines.append(f"  and {counted(fit.other_terms, 'other term')} of the affinity, which lack more or as much")
    return _text(lines)


def _whole(path: LabelPath, node: str, style: Style) -> Iterator[str]:
    label, node = printable(path.label), printable(node)
    if path.verdict == "arrives":
        yield f"{node} has {label}={printable(path.steps[-1].said.rpartition(': ')[2])}"
    elif path.verdict == "absent":
        yield f"{node} gives no {label}"
    else:
        yield f"{node}, {label}: {_verdict(path)}"
    for step in path.steps:
        yield f"  {style(step.state.ljust(9), _LOOKS.get(step.state, 'quiet'))}  {_step(step)}"
    if path.remedy:
        yield f"  do: {path.remedy}"


def _verdict(path: LabelPath) -> str:
    if path.verdict == "absent":
        return "on the Node, and the facts do not give it"
    place = _PLACES[path.ends or "facts"]
    return f"does not reach the {place}" if path.verdict == "stops" else "how far it gets is not known"


def _step(step: Step) -> str:
    return f"{_PLACES[step.place].ljust(12)}  {printable(step.said)}"


def _group(group: list[LabelPath], style: Style) -> Iterator[str]:
    first = group[0]
    yield f"{style(_verdict(first), 'fault' if first.verdict == 'stops' else 'unknown')}: {_names(group)}"
    step = next((one for one in first.steps if one.place == first.ends), None)
    if step is not None and first.verdict != "absent":
        yield f"  {printable(step.said)}"
    if first.remedy:
        yield f"  do: {first.remedy}"


def _names(group: list[LabelPath]) -> str:
    return listed([printable(path.label) for path in group], _MOST_NAMES)


def _count(paths: Sequence[LabelPath], arrived: int) -> str:
    last = paths[0].steps[-1].place
    if last == "facts":
        return f"{counted(len(paths), 'label')} {'follows' if len(paths) == 1 else 'follow'} from the facts"
    return f"{arrived} of {counted(len(paths), 'label')} {'is' if arrived == 1 else 'are'} {_AT[last]}"


def _absent(why: Why) -> Iterator[str]:
    """The labels that the facts do not give."""
    if why.report is None:
        return
    there = {path.label.partition(".G")[0] for path in why.labels}
    names = [row.name for row in LABELS if row.name not in there and "<" not in row.name]
    if names:
        yield f"not given by the facts: {listed([name.removeprefix(PREFIX) for name in names], _MOST_NAMES)}"
        yield "  (--label NAME says when a label is absent)"


def _causes(report: NodeReport | None) -> Iterator[str]:
    """What the node says of itself, the worst first."""
    if report is None:
        return
    found = [f"{one.severity} {one.evidence}" for one in report.findings if one.severity == "critical"]
    unknown = [f"unknown {one.reason}" for one in report.unknown if one.decisive]
    causes = [*found, *unknown]
    if causes:
        yield "what the node says of itself (`nvtopo doctor` says what to do):"
        yield from (f"  {printable(cause)}" for cause in causes[:_MOST_CAUSES])
    if len(causes) > _MOST_CAUSES:
        yield f"  and {len(causes) - _MOST_CAUSES} more"


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
