"""Whether a node's labels are what a pod asks for: its ``nodeSelector`` and its required node affinity.

As the scheduler reads them. Resources, taints, volumes and other pods are not looked at.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from nvtopo.model.records.record import Record

Labels = Mapping[str, str]

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")
_NAME: Final = "metadata.name"


class Expression(Record, frozen=True, kw_only=True):
    """One requirement of a term."""

    key: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The expression in words."""
        return f"{self.key} {self.operator} {', '.join(self.values)}".rstrip()


class Term(Record, frozen=True, kw_only=True):
    """A term of a node selector: all its expressions must hold."""

    match_expressions: tuple[Expression, ...] = ()
    match_fields: tuple[Expression, ...] = ()


class Demand(Record, frozen=True, kw_only=True):
    """What a pod asks of a node's labels."""

    node_selector: dict[str, str] = {}
    terms: tuple[Term, ...] = ()
    """One of them is enough; empty if the pod has no required affinity."""


class Unmet(Record, frozen=True, kw_only=True, omit_defaults=False):
    """A requirement that the node does not fulfil."""

    asked: str
    found: str | None
    """The label's value; null if the node does not have it."""


class PodFit(Record, frozen=True, kw_only=True, omit_defaults=False):
    """How a pod's demand and a node's labels fit."""

    fits: bool
    unmet: tuple[Unmet, ...] = ()
    """Of the selector, and of the term that lacks least."""
    other_terms: int = 0
    """How many terms are there beside that one; none of them holds."""


def of(demand: Demand, labels: Labels, node: str) -> PodFit:
    """What of the pod's demands this node does not meet."""
    selector = [
        Unmet(asked=f"{key}={value}", found=labels.get(key))
        for key, value in sorted(demand.node_selector.items())
        if labels.get(key) != value
    ]
    lacking = [tuple(_lacking(term, labels, node)) for term in demand.terms]
    nearest = min(lacking, key=len, default=())
    unmet = (*selector, *nearest)
    return PodFit(fits=not unmet, unmet=unmet, other_terms=len(lacking) - 1 if nearest else 0)


def _lacking(term: Term, labels: Labels, node: str) -> Iterator[Unmet]:
    if not term.match_expressions and not term.match_fields:
        yield Unmet(asked="a term without requirements, which matches no node", found=None)
    for one in term.match_expressions:
        if not _holds(one, labels.get(one.key)):
            yield Unmet(asked=one.words, found=labels.get(one.key))
    for one in term.match_fields:
        value = node if one.key == _NAME else None
        if not _holds(one, value):
            yield Unmet(asked=one.words, found=value)


def _holds(one: Expression, value: str | None) -> bool:
    holds = _OPERATORS.get(one.operator)
    return holds is not None and holds(value, one.values)


def _compared(value: str | None, values: tuple[str, ...], sign: int) -> bool:
    """``Gt`` and ``Lt`` are strict, and hold for no label that is no integer."""
    if value is None or len(values) != 1 or not _INTEGER.fullmatch(value) or not _INTEGER.fullmatch(values[0]):
        return False
    return sign * (int(value) - int(values[0])) > 0


_OPERATORS: Final[Mapping[str, Callable[[str | None, tuple[str, ...]], bool]]] = {
    "In": lambda value, values: value is not None and value in values,
    "NotIn": lambda value, values: value is None or value not in values,
    "Exists": lambda value, _: value is not None,
    "DoesNotExist": lambda value, _: value is None,
    "Gt": lambda value, values: _compared(value, values, 1),
    "Lt": lambda value, values: _compared(value, values, -1),
}
