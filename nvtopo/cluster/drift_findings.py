"""Drift as findings: one for each node, and one for each rack or domain that differs from its peers as a whole."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from msgspec.structs import replace as changed

from nvtopo.cluster.findings import NodeFinding, found
from nvtopo.cluster.traits import GPUS, NICS
from nvtopo.findings.finding import FindingDomain
from nvtopo.model.changes import words
from nvtopo.model.changes.change import Change
from nvtopo.model.changes.loss import is_loss
from nvtopo.model.formats.listing import listed

_MOST_SAID: Final = 8
_MOST_SUBJECTS: Final = 8


class GroupDrift(NamedTuple):
    """A rack or domain that differs from its peers."""

    called: str
    """``rack r01``."""
    nodes: tuple[str, ...]
    changes: tuple[Change, ...]


def of(drifting: Mapping[str, tuple[Change, ...]], groups: Iterable[GroupDrift] = ()) -> frozenset[NodeFinding]:
    """The findings. What a group's finding says already, no finding of its nodes repeats.

    Of groups with the same nodes and the same changes, such as a rack and its NVLink domain, the last is named.
    """
    made, said = set[NodeFinding](), dict[str, set[Any]]()
    for group in {(group.nodes, repr(group.changes)): group for group in groups}.values():
        made.add(_of_group(group))
        for name in group.nodes:
            said.setdefault(name, set()).update(map(_place, group.changes))
    for name, changes in drifting.items():
        left = tuple(change for change in changes if _place(change) not in said.get(name, ()))
        if left:
            made.add(_finding((name,), name, left, f"differs from what is expected: {sentence(left)}"))
    return frozenset(made)


def sentence(changes: Iterable[Change]) -> str:
    """What differs in words, devices that differ in the same way together."""
    alike: dict[str, list[str]] = {}
    for change in changes:
        before, after = _sides(change)
        alike.setdefault(f"{words.fact(change)} {before} → {after}", []).append(change.subject)
    said = [f"{listed(subjects, _MOST_SUBJECTS)}: {what}" for what, subjects in alike.items()]
    left = len(said) - _MOST_SAID
    return "; ".join(said[:_MOST_SAID]) + (f"; and {left} more" if left > 0 else "")


def _of_group(group: GroupDrift) -> NodeFinding:
    tie = any(isinstance(change.before, list) for change in group.changes)
    how = "differs from its peers, of which none are in the majority" if tie else "differs from most of its peers"
    return _finding(group.nodes, group.called, group.changes, f"{group.called} {how}: {sentence(group.changes)}")


def _finding(nodes: tuple[str, ...], subject: str, changes: tuple[Change, ...], evidence: str) -> NodeFinding:
    losses = [change for change in changes if all(map(is_loss, _each(change)))]
    first = (losses or list(changes))[0]
    made = found("drift", nodes, evidence, subject=subject, severity="warning" if losses else "info")
    due = "; ".join(f"{words.fact(change)} {_sides(change)[0]}" for change in _distinct(changes)[:_MOST_SAID])
    return replace(made, finding=changed(made.finding, domain=_domain(first), expected=due))


def _distinct(changes: Iterable[Change]) -> list[Change]:
    """One of each fact and value, whatever the device."""
    return list({(change.kind, change.path, str(change.before)): change for change in changes}.values())


def _sides(change: Change) -> tuple[str, str]:
    before = " or ".join(words.sides(changed(one, after=None))[0] for one in _each(change))
    return before, words.sides(changed(change, before=None))[1]


def _each(change: Change) -> list[Change]:
    """Of a tie, one for each value."""
    several = change.before if isinstance(change.before, list) else [change.before]
    return [changed(change, before=value) for value in several]


def _place(change: Change) -> tuple[Any, ...]:
    return change.kind, change.subject, change.path, change.after


def _domain(change: Change) -> FindingDomain:
    first = change.path.partition(".")[0]
    if first == "link":
        return "pcie"
    if change.kind == GPUS:
        return "gpu-fabric" if first == "nvlinks" else "pcie"
    if change.kind == NICS:
        return "network-fabric"
    return "runtime" if first in ("driverVersion", "cudaVersion") else "host"
