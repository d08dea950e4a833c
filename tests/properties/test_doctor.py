"""Whatever machine is drawn: doctor and the label ``ready`` say the same, and each check has one outcome."""

import pytest
from hypothesis import given, settings

from nvtopo.checks.check import Machine
from nvtopo.checks.report import of_node
from nvtopo.findings.finding import SEVERITIES
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.features import features
from nvtopo.model.records.snapshot import Snapshot
from tests.properties.machines import WILD, snapshots

pytestmark = pytest.mark.slow

_VERDICTS = {"true": "ready", "false": "not-ready", None: "cannot-know"}


@settings(max_examples=150)
@given(snapshots(WILD))
def test_verdict_label_and_findings_agree(snapshot: Snapshot) -> None:
    machine = Machine(assemble(snapshot), snapshot)
    report = of_node(machine)
    assert report.verdict == _VERDICTS[features(machine.node, machine.derived).get("nvtopo.io/ready")]
    assert (report.verdict == "not-ready") == any(one.severity == "critical" for one in report.findings)
    for name, outcome in report.checks.items():
        assert (outcome == "failed") == any(one.id == name for one in report.findings)
    order = [SEVERITIES.index(one.severity) for one in report.findings]
    assert order == sorted(order)


@settings(max_examples=100)
@given(snapshots())
def test_without_the_capture_nothing_else_is_critical(snapshot: Snapshot) -> None:
    """A resource says less than a capture: less may be known, and nothing worse follows."""
    node = assemble(snapshot)
    with_it, without = of_node(Machine(node, snapshot)), of_node(Machine(node))
    assert with_it.verdict == without.verdict
    for name, outcome in without.checks.items():
        assert outcome in (with_it.checks[name], "unknown", "not-applicable")
