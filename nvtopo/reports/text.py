"""The report for people: the verdict, then the worst first, each with what to do; one screen."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from nvtopo.checks.capacity import TIERS, DomainCapacity
from nvtopo.checks.check import NotKnown
from nvtopo.checks.fleet import FleetReport
from nvtopo.checks.report import VERDICTS, NodeReport, Verdict
from nvtopo.findings.finding import SEVERITIES, Finding, Severity
from nvtopo.model.changes import words as change_words
from nvtopo.model.changes.change import Change
from nvtopo.model.formats.listing import listed
from nvtopo.model.formats.printable import printable
from nvtopo.sinks.text.words import counted

Style = Callable[[str, str], str]
"""Makes a piece of text look so: as ``ok``, ``degraded``, ``fault``, ``unknown``, ``head`` or ``quiet``."""

_WORDS: Final[dict[Verdict, tuple[str, str]]] = {
    "ready": ("ready", "ok"),
    "not-ready": ("NOT READY", "fault"),
    "cannot-know": ("cannot know", "unknown"),
}
_LOOKS: Final[dict[Severity, str]] = {"critical": "fault", "warning": "degraded", "info": "quiet"}
#: More than a screen has is left to the other formats.
_MOST_GROUPS: Final = 5
_MOST_UNKNOWN: Final = 3
_MOST_NAMED: Final = 5
_MOST_NODES: Final = 12
_MOST_CHANGES: Final = 8
_MOST_SUBJECTS: Final = 6
_LONGEST_LINE: Final = 220


class _Group(NamedTuple):
    """Findings that say the same of several subjects."""

    first: Finding
    subjects: tuple[str, ...]
    evidence: str
    """Without the subject."""


def plain(text: str, look: str) -> str:
    """The style of a pipe: none."""
    del look
    return text


def node(report: NodeReport, name: str, style: Style = plain) -> str:
    """One node's report, ending in a newline."""
    lines = [_head(report.verdict, name, report.findings, style)]
    lines += _findings(report.findings, style)
    lines += _unknown(report.unknown, style)
    lines += _changes(report.changes, style)
    if report.verdict == "ready" and not report.findings:
        passed = sum(outcome == "passed" for outcome in report.checks.values())
        lines.append(style(f"  {passed} checks passed", "quiet"))
    return "".join(f"{line}\n" for line in lines)


def fleet(report: FleetReport, style: Style = plain) -> str:
    """Several nodes: how many are how, what concerns several, then the worst nodes."""
    counts = {verdict: sum(one.verdict == verdict for one in report.nodes.values()) for verdict in VERDICTS}
    words, look = _WORDS[report.verdict]
    said = ", ".join(f"{count} {_WORDS[verdict][0]}" for verdict, count in counts.items() if count)
    head = style(f"{counted(len(report.nodes), 'node')}: {words}", look)
    lines = [f"{head} ({said or 'no node'})"]
    lines += _findings(report.findings, style)
    lines += _unknown(report.unknown, style)
    lines += _room(report.capacity, style)
    lines += _kinds(report.nodes, style)
    ill = [(name, one) for name, one in report.nodes.items() if one.verdict != "ready"]
    ill.sort(key=lambda entry: (-VERDICTS.index(entry[1].verdict), entry[0]))
    for name, one in ill[:_MOST_NODES]:
        lines.append(_node_line(name, one, style))
    if len(ill) > _MOST_NODES:
        lines.append(style(f"  and {len(ill) - _MOST_NODES} nodes more (--format json has all)", "quiet"))
    lines += _since(report.nodes, report.gone, style)
    return "".join(f"{line}\n" for line in lines)


def _head(verdict: Verdict, name: str, findings: Iterable[Finding], style: Style) -> str:
    words, look = _WORDS[verdict]
    counts = [(one, sum(finding.severity == one for finding in findings)) for one in SEVERITIES]
    said = ", ".join(f"{count} {severity}" for severity, count in counts if count)
    return f"{style(f'{printable(name)}: {words}', look)}{f' ({said})' if said else ''}"


def _findings(findings: Iterable[Finding], style: Style) -> Iterator[str]:
    groups = _grouped(findings)
    for group in groups[:_MOST_GROUPS]:
        one = group.first
        yield _cut(
            f"{style(one.severity, _LOOKS[one.severity])} {_subjects(group.subjects)} {printable(group.evidence)}"
        )
        yield _cut(style(f"  expected: {printable(one.expected)}  [{one.domain}, {one.id}]", "quiet"))
        yield _cut(f"  do: {printable(one.remedy)}")
    if len(groups) > _MOST_GROUPS:
        yield style(f"  and {len(groups) - _MOST_GROUPS} findings more (--format json has all)", "quiet")


def _grouped(findings: Iterable[Finding]) -> list[_Group]:
    found: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        found.setdefault((finding.id, finding.severity, _evidence(finding)), []).append(finding)
    return [
        _Group(group[0], tuple(one.subject for one in group), evidence) for (_, _, evidence), group in found.items()
    ]


def _evidence(finding: Finding) -> str:
    return _without(finding.subject, finding.evidence)


def _without(subject: str, sentence: str) -> str:
    """A sentence without the subject that it begins with."""
    for prefix in (f"{subject} ", f"{subject}: ", "this node "):
        if sentence.startswith(prefix):
            return sentence.removeprefix(prefix)
    return sentence


def _subjects(subjects: tuple[str, ...]) -> str:
    return f"{listed([printable(subject) for subject in subjects], _MOST_SUBJECTS)}:"


def _unknown(unknown: Iterable[NotKnown], style: Style) -> Iterator[str]:
    """In words what leaves the verdict open; of the rest, which checks."""
    decisive: dict[str, list[NotKnown]] = {}
    others: Counter[str] = Counter()
    for one in unknown:
        if one.decisive:
            decisive.setdefault(one.id, []).append(one)
        else:
            others[one.id] += 1
    for group in list(decisive.values())[:_MOST_UNKNOWN]:
        subjects = _subjects(tuple(one.subject for one in group))
        said = _without(group[0].subject, group[0].reason)
        yield _cut(f"{style('unknown', 'unknown')} {subjects} {printable(said)} [{group[0].id}]")
        yield _cut(f"  do: {printable(group[0].remedy)}")
    if others:
        yield _cut(style(f"not known here, --format json says why: {listed(list(others), _MOST_NAMED)}", "quiet"))


def _changes(changes: tuple[Change, ...] | None, style: Style) -> Iterator[str]:
    if changes is None:
        return
    yield style(
        f"{len(changes)} changes since the baseline" if changes else "nothing changed since the baseline", "head"
    )
    for change in changes[:_MOST_CHANGES]:
        yield _cut(f"  {printable(change_words.text(change))}")
    if len(changes) > _MOST_CHANGES:
        yield style(f"  and {len(changes) - _MOST_CHANGES} more (--format json has all)", "quiet")


def _since(nodes: Mapping[str, NodeReport], gone: tuple[str, ...] | None, style: Style) -> Iterator[str]:
    """Of each node how much changed, and what could not be compared."""
    if gone is None:
        return
    changed = {name: one.changes for name, one in nodes.items() if one.changes}
    count = sum(map(len, changed.values()))
    some = f"{counted(count, 'change')} since the baseline, on {counted(len(changed), 'node')}"
    if any(one.changes is not None for one in nodes.values()):
        yield style(some if changed else "nothing changed since the baseline", "head")
    else:
        yield style("the baseline has none of these nodes that can be read", "head")
    most = sorted(changed.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    for name, changes in most[:_MOST_CHANGES]:
        more = f", and {len(changes) - 1} more" if len(changes) > 1 else ""
        yield _cut(f"  {printable(name)}: {printable(change_words.text(changes[0]))}{more}")
    if len(most) > _MOST_CHANGES:
        yield style(f"  and {len(most) - _MOST_CHANGES} nodes more (--format json has all)", "quiet")
    alone = {"not compared": [name for name, one in nodes.items() if one.changes is None], "in the baseline only": gone}
    for said, names in alone.items():
        if names:
            yield _cut(f"  {said}: {printable(listed(names, _MOST_SUBJECTS))}")


def _room(domains: Iterable[DomainCapacity], style: Style) -> Iterator[str]:
    """Of each tier, how many of its domains hold a gang on all their GPUs."""
    tiers: dict[str, list[DomainCapacity]] = {}
    for one in domains:
        tiers.setdefault(one.tier, []).append(one)
    said = [_of_tier(tier, found) for tier, found in tiers.items()]
    if said:
        yield _cut(style(f"room for a gang on all GPUs: {', '.join(said)}", "quiet"))


def _of_tier(tier: str, found: list[DomainCapacity]) -> str:
    dark = sum(bool(one.unknown) and not one.left_out for one in found)
    return (
        f"{TIERS[tier]}s {sum(one.is_whole for one in found)} of {len(found)}{f', {dark} not known' if dark else ''}"
        f" (largest gang {max(one.usable_gpus for one in found)} GPUs)"
    )


def _kinds(nodes: Mapping[str, NodeReport], style: Style) -> Iterator[str]:
    """What is found on nodes, by check: how many have it."""
    counts: dict[tuple[int, str], set[str]] = {}
    for name, report in nodes.items():
        for finding in report.findings:
            if finding.severity != "info":
                counts.setdefault((SEVERITIES.index(finding.severity), finding.id), set()).add(name)
    ordered = sorted(counts.items(), key=lambda entry: (entry[0][0], -len(entry[1]), entry[0][1]))
    for (severity, name), having in ordered[:_MOST_GROUPS]:
        word = SEVERITIES[severity]
        yield f"{style(word, _LOOKS[word])} {name}: {counted(len(having), 'node')}"
    if len(ordered) > _MOST_GROUPS:
        yield style(f"  and {len(ordered) - _MOST_GROUPS} kinds more", "quiet")


def _node_line(name: str, report: NodeReport, style: Style) -> str:
    words, look = _WORDS[report.verdict]
    first = report.findings[0] if report.findings and report.verdict == "not-ready" else None
    why = f"{first.subject}: {_evidence(first)}" if first else report.unknown[0].reason if report.unknown else ""
    return _cut(f"{style(f'{printable(name)}: {words}', look)}{f', {printable(why)}' if why else ''}")


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"
