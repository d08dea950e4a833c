"""What a node is for: some findings that are an info elsewhere are a warning there."""

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from nvtopo.checks.report import NodeReport, worst_first
from nvtopo.findings.expectation import Workload

#: Workload → ids of checks whose infos are warnings there.
MATTERS: Final[Mapping[Workload, frozenset[str]]] = {
    "batch": frozenset(),
    "real-time": frozenset(
        {
            "cpu-governor",
            "gpu-cpus-isolated",
            "hugepages-uneven",
            "nic-interrupts-far",
            "nic-interrupts-isolated",
            "numa-balancing-on",
            "reserved-cpus-isolated",
            "topology-not-aligned",
        }
    ),
    "streaming": frozenset(
        {
            "gds-module-missing",
            "mount-on-rail",
            "nic-interrupts-far",
            "nvme-far",
            "rail-mtu-small",
            "topology-not-aligned",
        }
    ),
}


def raised(report: NodeReport, workload: Workload | None) -> NodeReport:
    """The report as that workload needs it; nothing of it decides whether the node is ready."""
    ids = MATTERS[workload] if workload is not None else frozenset()
    findings = (
        replace(one, severity="warning") if one.severity == "info" and one.id in ids else one for one in report.findings
    )
    return replace(report, findings=worst_first(findings))
