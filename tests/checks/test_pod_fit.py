"""A pod's demand against a node's labels, as the scheduler compares them."""

import pytest

from nvtopo.checks import pod_fit
from nvtopo.checks.pod_fit import Demand, Expression, Term, Unmet

LABELS = {"count": "8", "ready": "true", "version": "4.0"}


def expression(key: str, operator: str, *values: str) -> Expression:
    return Expression(key=key, operator=operator, values=values)


@pytest.mark.parametrize(
    ("asked", "holds"),
    [
        (expression("ready", "In", "true", "yes"), True),
        (expression("ready", "In", "false"), False),
        (expression("absent", "In", "true"), False),
        (expression("ready", "NotIn", "false"), True),
        (expression("ready", "NotIn", "true"), False),
        (expression("absent", "NotIn", "true"), True),
        (expression("ready", "Exists"), True),
        (expression("absent", "Exists"), False),
        (expression("ready", "DoesNotExist"), False),
        (expression("absent", "DoesNotExist"), True),
        (expression("count", "Gt", "7"), True),
        (expression("count", "Gt", "8"), False),
        (expression("count", "Lt", "9"), True),
        (expression("count", "Lt", "8"), False),
        (expression("version", "Gt", "3"), False),
        (expression("absent", "Gt", "0"), False),
        (expression("count", "Gt", "many"), False),
        (expression("count", "Ge", "8"), False),
    ],
)
def test_one_requirement(asked: Expression, holds: bool) -> None:
    fit = pod_fit.of(Demand(terms=(Term(match_expressions=(asked,)),)), LABELS, "node-1")
    assert fit.fits is holds
    assert fit.unmet == (() if holds else (Unmet(asked=asked.words, found=LABELS.get(asked.key)),))


def test_a_selector_names_what_differs() -> None:
    fit = pod_fit.of(Demand(node_selector={"ready": "true", "count": "4", "zone": "a"}), LABELS, "node-1")
    assert [(one.asked, one.found) for one in fit.unmet] == [("count=4", "8"), ("zone=a", None)]


def test_one_term_is_enough_and_the_nearest_is_named() -> None:
    far = Term(match_expressions=(expression("absent", "Exists"), expression("count", "Lt", "2")))
    near = Term(match_expressions=(expression("ready", "Exists"), expression("zone", "Exists")))
    holds = Term(match_expressions=(expression("ready", "Exists"),))
    assert pod_fit.of(Demand(terms=(far, near, holds)), LABELS, "node-1").fits
    fit = pod_fit.of(Demand(terms=(far, near)), LABELS, "node-1")
    assert [one.asked for one in fit.unmet] == ["zone Exists"]
    assert fit.other_terms == 1


def test_fields_are_the_nodes_name_and_a_term_of_nothing_matches_nothing() -> None:
    here = Term(match_fields=(expression("metadata.name", "In", "node-1"),))
    assert pod_fit.of(Demand(terms=(here,)), {}, "node-1").fits
    assert not pod_fit.of(Demand(terms=(here,)), {}, "node-2").fits
    assert not pod_fit.of(Demand(terms=(Term(),)), LABELS, "node-1").fits
    assert pod_fit.of(Demand(), {}, "node-1").fits
