"""Doctor and the alerts on every machine of ``fixtures/hosts``: what fires is found, and what is found fires."""

from collections.abc import Mapping
from typing import Final

import pytest

from tests.checks.recorded import NAMES, report_of
from tests.monitoring.shipped import alerts
from tests.monitoring.test_promtool import ILL

#: Alert → the checks of doctor that are about the same thing. What only shows over time, doctor does not see.
MEANS: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset(ids.split())
    for name, ids in {
        "NvtopoFabricRegistering": "fabric-registering nvlinks-training",
        "NvtopoFabricUnhealthy": "fabric-error fabric-limited-capacity fabric-mixed fabric-not-supported"
        " fabric-unhealthy",
        "NvtopoGpuLost": "driver-problem",
        "NvtopoGpuMemoryRepair": "gpu-memory-repair",
        "NvtopoGpuRecoveryNeeded": "gpu-recovery",
        "NvtopoGpusMissing": "gpus-missing modules-missing",
        "NvtopoMtuMismatch": "rail-mtus-differ",
        "NvtopoNvlinkBitErrors": "nvlink-errors",
        "NvtopoNvlinkDegraded": "nvlink-slow",
        "NvtopoNvlinkDown": "nvlinks-down nvlinks-missing",
        "NvtopoPcieDowngraded": "pcie-below-best",
        # Of a GPU that is not in the fabric, doctor says that and not that its peers refuse it.
        "NvtopoPeerAccessLost": "nvlink-p2p-refused fabric-error fabric-not-supported",
        "NvtopoProblems": "driver-problem gpu-problem pair-problem",
        "NvtopoRailsMissing": "rail-without-ports rails-down",
        "NvtopoRdmaPortDown": "ports-down rails-down",
        "NvtopoSamplerDown": "driver-problem",
    }.items()
}
OVER_TIME: Final = frozenset({"NvtopoNumaSpill"})
_EACH: Final = pytest.mark.parametrize("name", NAMES)


def noticed(name: str) -> set[str]:
    """The checks that found something, or could not know."""
    report = report_of(name)
    return {one.id for one in report.findings} | {one.id for one in report.unknown}


@_EACH
def test_what_fires_is_found(name: str) -> None:
    for alert in ILL.get(name, set()) - OVER_TIME:
        assert noticed(name) & MEANS[alert], alert


@_EACH
def test_what_is_found_fires(name: str) -> None:
    for one in report_of(name).findings:
        due = {alert for alert, ids in MEANS.items() if one.id in ids}
        if one.severity != "info" and due:
            assert due & ILL.get(name, set()), one


def test_the_alerts_are_those_that_are_shipped() -> None:
    assert MEANS.keys() | OVER_TIME <= {alert["alert"] for alert in alerts()}
