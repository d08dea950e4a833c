"""Why a node is not ready, one line for each reason: ``! GPU2: 17 of 18 NVLinks, link 7 inactive``."""

from collections.abc import Callable, Iterator
from itertools import groupby

from nvtopo.model.conclusions.derive import Derived
from nvtopo.model.conclusions.health_kinds import ILL, KINDS, Reason
from nvtopo.model.conclusions.health_words import predicate, subject
from nvtopo.model.formats.cpulist import format_cpulist
from nvtopo.model.formats.printable import printable
from nvtopo.model.records.node import Gpu, NodeTopology
from nvtopo.sinks.text.words import unusable

Style = Callable[[str, str], str]
"""Colours a text by its look: (text, look) → text."""

#: Reasons that are a problem's own words, which name its subject.
_PROBLEMS = ("driver-problem", "gpu-problem", "pair-problem")
_OF_LINKS = ("nvlinks-missing", "nvlinks-down", "nvlinks-unknown")


def lines(node: NodeTopology, derived: Derived, style: Style) -> str:
    """The node's reasons that stand in a job's way, are a fault or are awaited; GPUs and NICs alike share a line."""
    gpus = {gpu.index: gpu for gpu in node.gpus}
    worded = [(reason, _words(reason, gpus)) for reason in derived.health.reasons if _said(reason)]
    return "\n".join(_shared(worded, style))


def said(derived: Derived) -> frozenset[tuple[str, str]]:
    """Subject and reason of each problem that the lines say."""
    reasons = (reason for reason in derived.health.reasons if reason.code in _PROBLEMS)
    return frozenset((str(reason.values[0]), str(reason.values[1])) for reason in reasons)


def _said(reason: Reason) -> bool:
    """What an input does not show is in the summary; links that still train are awaited."""
    kind = KINDS[reason.code]
    return kind.ready is False or kind.level in ILL or kind.level == "registering"


def _shared(worded: list[tuple[Reason, str]], style: Style) -> Iterator[str]:
    for (code, words), alike in groupby(sorted(worded, key=_order(worded)), key=lambda item: (item[0].code, item[1])):
        named = _names([reason for reason, _ in alike])
        text = words if code in _PROBLEMS else f"{named}: {words}"
        yield style(printable(f"! {text}"), KINDS[code].level)


def _order(worded: list[tuple[Reason, str]]) -> Callable[[tuple[Reason, str]], int]:
    """By the first reason with the same words."""
    first: dict[tuple[str, str], int] = {}
    for position, (reason, words) in enumerate(worded):
        first.setdefault((reason.code, words), position)
    return lambda item: first[item[0].code, item[1]]


def _names(reasons: list[Reason]) -> str:
    """``GPU2``, ``GPUs 0-3,5``, ``mlx5_0, mlx5_1`` or ``node``."""
    gpus = [reason.gpu for reason in reasons if reason.gpu is not None]
    if len(gpus) > 1:
        return f"GPUs {format_cpulist(gpus)}"
    return ", ".join(dict.fromkeys(subject(reason) for reason in reasons))


def _words(reason: Reason, gpus: dict[int, Gpu]) -> str:
    if reason.code in _PROBLEMS:
        return ": ".join(map(str, reason.values))
    words = predicate(reason).removeprefix("has ").removeprefix("is ")
    if reason.code not in _OF_LINKS or reason.gpu is None:
        return words
    return ", ".join((words, *unusable(gpus[reason.gpu])))
