"""A node's report: the verdict, what was found, worst first, and what could not be known."""

from collections.abc import Collection, Iterable
from typing import Final, Literal

from nvtopo.checks import denied, shown
from nvtopo.checks.check import NODE, CheckResult, Fits, Found, Machine, NodeCheck, NotKnown, Outcome, Unknown
from nvtopo.checks.table import CHECKS
from nvtopo.findings import of_health
from nvtopo.findings.finding import SEVERITIES, Check, Finding
from nvtopo.model.changes.change import Change
from nvtopo.model.conclusions import health_words
from nvtopo.model.conclusions.health_kinds import Code, Reason
from nvtopo.model.records.record import Problem, Record

Verdict = Literal["ready", "not-ready", "cannot-know"]

#: The best first.
VERDICTS: Final[tuple[Verdict, ...]] = ("ready", "cannot-know", "not-ready")


_LANES: Final[Code] = "pcie-below-best"


class NodeReport(Record, frozen=True, kw_only=True, omit_defaults=False):
    """What ``doctor`` says of one node."""

    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    """The worst first."""
    unknown: tuple[NotKnown, ...] = ()
    """What could not be known; first what leaves it open whether the node is ready."""
    checks: dict[str, Outcome] = {}
    """Id of each check → how it ended."""
    changes: tuple[Change, ...] | None = None
    """What changed since the baseline; null without one."""


def of_node(machine: Machine, open_questions: Iterable[NotKnown] = ()) -> NodeReport:
    """Judge one node. Only its health makes a finding critical, so the verdict is that of the label ``ready``.

    ``open_questions`` is what whoever asks knows to be unknown, as that a policy does not speak of this node.
    """
    refused = denied.of_node(machine)
    found, unknown, outcomes = _of_health(machine, refused)
    unknown += open_questions
    for one in CHECKS:
        answers = _answers(one, machine, refused)
        found += [one.finding(answer) for answer in answers if isinstance(answer, Found)]
        unknown += [_not_known(one, answer) for answer in answers if isinstance(answer, Unknown)]
        outcomes[one.check.id] = _outcome(answers)
    return NodeReport(
        verdict=_verdict(found, unknown),
        findings=worst_first(found),
        unknown=tuple(sorted(unknown, key=lambda one: (not one.decisive, one))),
        checks=outcomes,
    )


def _answers(one: NodeCheck, machine: Machine, refused: Collection[Problem]) -> tuple[CheckResult, ...]:
    """What the check finds; if nothing is wrong in what could be read, also what could not be."""
    answers = one.results(machine)
    if not refused or (one.one_is_enough and Fits() in answers):
        return answers
    if any(isinstance(answer, (Found, Unknown)) for answer in answers):
        return answers
    return (*answers, *denied.unknown(one.reads, refused))


def unreadable(reason: str) -> NodeReport:
    """The report on a node whose file or object can't be read."""
    said = NotKnown(
        id="node-unreadable",
        domain="runtime",
        subject=NODE,
        reason=reason,
        remedy="Take the capture again, or look at the node's agent.",
        decisive=True,
    )
    return NodeReport(verdict="cannot-know", unknown=(said,))


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, each once, in the order that people read them."""
    return tuple(sorted(set(findings), key=lambda one: (SEVERITIES.index(one.severity), one)))


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on several nodes; on none, nothing can be known."""
    return max(verdicts, key=VERDICTS.index, default="cannot-know")


def _of_health(
    machine: Machine, refused: Collection[Problem]
) -> tuple[list[Finding], list[NotKnown], dict[str, Outcome]]:
    found, unknown = [], []
    expected = machine.node.expected is not None
    outcomes: dict[str, Outcome] = {
        code: "passed" if expected or not of_health.needs_expectation(code) else "not-applicable"
        for code in of_health.codes()
    }
    for reason in machine.derived.health.reasons:
        if of_health.severity(reason.code) is None:
            unknown.append(_unknown_reason(reason))
            outcomes[reason.code] = "unknown"
        else:
            found.append(of_health.finding(reason))
            outcomes[reason.code] = "failed"
    for code in of_health.codes():
        if outcomes[code] != "passed":
            continue
        hidden = shown.of(machine, code)
        if hidden == shown.ABSENT:
            outcomes[code] = "not-applicable"
        for answer in _hidden(code, hidden, refused):
            unknown.append(
                _of_check(of_health.check(code), answer, f"Ask where it can be read: {of_health.reads(code)}.")
            )
            outcomes[code] = "unknown"
    for answer in _lanes_unknown(machine) if outcomes[_LANES] == "passed" else ():
        unknown.append(_of_check(of_health.check(_LANES), answer, "Look at `lspci -vv` (LnkSta, LnkCap)."))
        outcomes[_LANES] = "unknown"
    return found, unknown, outcomes


def _hidden(code: Code, hidden: shown.Shown, refused: Collection[Problem]) -> Iterable[Unknown]:
    if hidden is None:
        return denied.unknown(of_health.reads(code), refused)
    return () if hidden == shown.ABSENT else (Unknown(NODE, hidden),)


def _lanes_unknown(machine: Machine) -> Iterable[Unknown]:
    """GPUs whose link is shown, and its lanes are not."""
    for gpu in machine.node.gpus:
        if gpu.link is not None and (gpu.link.width is None or gpu.link.max_width is None):
            yield Unknown(gpu.key, "how many lanes its PCIe link has, or could have, is not shown")


def _unknown_reason(reason: Reason) -> NotKnown:
    code: Code = reason.code
    check = of_health.check(code)
    return NotKnown(
        id=code,
        domain=check.domain,
        subject=health_words.subject(reason),
        reason=health_words.sentence(reason),
        remedy=check.remedy,
        decisive=of_health.is_decisive(code),
    )


def _not_known(one: NodeCheck, answer: Unknown) -> NotKnown:
    return _of_check(one.check, answer, f"It is not known if {one.unknown_when}.")


def _of_check(check: Check, answer: Unknown, remedy: str) -> NotKnown:
    return NotKnown(id=check.id, domain=check.domain, subject=answer.subject, reason=answer.reason, remedy=remedy)


def _outcome(answers: Iterable[Found | Unknown | Fits]) -> Outcome:
    kinds = {type(answer) for answer in answers}
    return "failed" if Found in kinds else "unknown" if Unknown in kinds else "passed" if kinds else "not-applicable"


def _verdict(found: Iterable[Finding], unknown: Iterable[NotKnown]) -> Verdict:
    if any(finding.severity == "critical" for finding in found):
        return "not-ready"
    return "cannot-know" if any(one.decisive for one in unknown) else "ready"
