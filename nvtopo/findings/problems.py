"""A ``Problem``, which is a reading that failed, as a finding."""

from typing import Final

from nvtopo.findings.finding import Check, Finding, FindingDomain
from nvtopo.model.conclusions.health_kinds import SIBLINGS
from nvtopo.model.records.record import Problem

#: Source → whose matter it is that it can't be read.
_DOMAINS: Final[dict[str, FindingDomain]] = {
    "nvml": "gpu-fabric",
    "pci": "pcie",
    "net": "network-fabric",
    "rdma": "network-fabric",
    "storage": "storage",
    "kubelet": "runtime",
    "qos": "network-fabric",
    "runtime": "runtime",
    "imex": "gpu-fabric",
    "iopath": "storage",
    "memory": "scheduler",
    "hints": "scheduler",
}


def of_problem(problem: Problem) -> Finding:
    """What should have been readable and was not."""
    check = Check(
        id="unreadable",
        severity="critical" if problem.source in ("nvml", SIBLINGS) else "warning",
        domain=_DOMAINS.get(problem.source, "host"),
        expected=f"{problem.source} can be read",
        remedy="See docs/operations.md for what each such message means.",
    )
    return check.finding(problem.subject, problem.reason)
