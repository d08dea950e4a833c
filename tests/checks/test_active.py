"""Active tests beside what ports promise: failed, passed, or not to be known, for each."""

from typing import Final

import pytest

from nvtopo.checks import active
from nvtopo.checks.check import Outcome
from nvtopo.model.samples.probed import PathMtu, Probed, RdmaLoop
from tests.checks.recorded import report_of

H100: Final = "h100-sxm-8gpu-8cx7"
PATHS: Final[dict[Outcome, tuple[PathMtu, ...]]] = {
    "passed": (PathMtu("10.0.0.2", "rail0", 9000, 9000),),
    "failed": (PathMtu("10.0.0.2", "rail0", 9000, 1500), PathMtu("10.0.0.3", "rail0", 9000, None)),
    "unknown": (PathMtu("10.0.0.2", "rail0", 9000, 9000), PathMtu("10.0.0.3", "rail0", 9000, None)),
}
LOOPS: Final[dict[Outcome, tuple[RdmaLoop, ...]]] = {
    "passed": (RdmaLoop("mlx5_0", passed=True, said="52 Gb/s"),),
    "failed": (RdmaLoop("mlx5_0", passed=False, said="lost"), RdmaLoop("mlx5_1", passed=None)),
    "unknown": (RdmaLoop("mlx5_0", passed=True), RdmaLoop("mlx5_1", passed=None, said="not installed")),
}


@pytest.mark.parametrize("outcome", PATHS)
def test_each_outcome_and_the_verdict_stays(outcome: Outcome) -> None:
    report = active.with_probed(report_of(H100), Probed(PATHS[outcome], LOOPS[outcome]))
    assert {report.checks[check.id] for check in active.CHECKS} == {outcome}
    assert report.verdict == report_of(H100).verdict == "ready"


def test_the_evidence_has_both_sizes_and_the_way() -> None:
    (finding,) = active.with_probed(report_of(H100), Probed(PATHS["failed"])).findings
    assert (finding.id, finding.subject) == ("path-mtu-small", "rail0 to 10.0.0.2")
    assert "1500" in finding.evidence
    assert "9000" in finding.evidence


@pytest.mark.parametrize(
    "path",
    [PathMtu("h", "", None, None, "Operation not permitted"), PathMtu("h", "", None, 1500)],
)
def test_what_could_not_be_tried_or_compared_is_said(path: PathMtu) -> None:
    report = active.with_probed(report_of(H100), Probed((path,)))
    assert report.unknown[-1].subject == "the route to h"
    assert report.checks["path-mtu-small"] == "unknown"


def test_what_was_not_asked_for_is_no_check() -> None:
    assert active.with_probed(report_of(H100), Probed()) == report_of(H100)


def test_each_result_is_a_line() -> None:
    lines = list(active.announced(Probed(PATHS["failed"], LOOPS["failed"])))
    assert lines == [
        "rail0 to 10.0.0.2: 1500 bytes answered",
        "rail0 to 10.0.0.3: no answer",
        "mlx5_0: failed: lost",
        "mlx5_1: not tried",
    ]
