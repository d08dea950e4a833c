"""``Finding``: one thing that does not fit, as every document says it."""

from typing import Final, Literal, NamedTuple

from nvtopo.model.records.record import Record

Severity = Literal["critical", "warning", "info"]
"""``critical``: no job should run there. ``warning``: it gets less than it should. ``info``: worth knowing."""

FindingDomain = Literal["host", "pcie", "gpu-fabric", "network-fabric", "storage", "runtime", "scheduler"]
"""Whose matter it is: whom to call."""

#: The worst first, as lists show them.
SEVERITIES: Final[tuple[Severity, ...]] = ("critical", "warning", "info")


class Finding(Record, frozen=True, kw_only=True, order=True, omit_defaults=False):
    """One thing that does not fit."""

    id: str
    """The check that found it: ``gpu-claimed-twice``. It stays the same from release to release."""
    severity: Severity
    domain: FindingDomain
    subject: str
    """The device, node or place that it is about."""
    evidence: str
    """What was read, in one sentence with the values."""
    expected: str
    """What should have been read."""
    remedy: str
    """What to look at or do first."""


class Check(NamedTuple):
    """What is the same in every finding of one kind."""

    id: str
    severity: Severity
    domain: FindingDomain
    expected: str
    remedy: str

    def finding(self, subject: str, evidence: str, severity: Severity | None = None) -> Finding:
        """What this check found; ``severity`` where it is another than usual."""
        return Finding(
            id=self.id,
            severity=severity or self.severity,
            domain=self.domain,
            subject=subject,
            evidence=evidence,
            expected=self.expected,
            remedy=self.remedy,
        )
