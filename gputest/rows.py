"""A row: one fact as nvtopo and as another tool state it, and what the two are to each other."""

from typing import Any, Literal, NamedTuple

import msgspec

from nvtopo.model.records.record import Record

Verdict = Literal["same", "differ", "explained", "not-compared"]
Facts = dict[str, Any]


class Row(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One fact."""

    tool: str
    """What nvtopo is compared with: ``nvidia-smi topo -m``."""
    subject: str
    """What the fact is about: ``GPU3``, ``mlx5_0``, ``node``."""
    fact: str
    nvtopo: Any = None
    """As in JSON; null where nvtopo does not know it."""
    other: Any = None
    """As in JSON; null where the tool does not say it."""
    verdict: Verdict
    reason: str = ""
    """Why the two may differ, or why they are not compared."""


class Of(NamedTuple):
    """What the rows of one subject have in common."""

    tool: str
    subject: str

    def row(self, fact: str, nvtopo: Any, other: Any, explained: str = "") -> Row:
        """The two values beside each other; ``explained`` says why they may differ.

        What the tool does not say is not compared. What it says and nvtopo does not know is a difference.
        """
        if other in (None, "", [], ()):
            return self.not_compared(fact, "the tool does not say", nvtopo, None)
        verdict: Verdict = "same" if nvtopo == other else "explained" if explained else "differ"
        reason = explained if verdict == "explained" else ""
        return Row(
            tool=self.tool, subject=self.subject, fact=fact, nvtopo=nvtopo, other=other, verdict=verdict, reason=reason
        )

    def not_compared(self, fact: str, reason: str, nvtopo: Any = None, other: Any = None) -> Row:
        """What can't be compared, and why."""
        return Row(
            tool=self.tool,
            subject=self.subject,
            fact=fact,
            nvtopo=nvtopo,
            other=other,
            verdict="not-compared",
            reason=reason,
        )

    def differ(self, fact: str, nvtopo: Any, other: Any, reason: str = "") -> Row:
        """What is not as it should be."""
        return Row(
            tool=self.tool, subject=self.subject, fact=fact, nvtopo=nvtopo, other=other, verdict="differ", reason=reason
        )


def flat(record: Record) -> Facts:
    """The facts of a record by path, named as documents name them; what it does not know is not there."""
    return dict(_flat("", msgspec.to_builtins(record)))


def _flat(path: str, value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        return [(path, value)]
    return [found for key, item in value.items() for found in _flat(f"{path}.{key}" if path else str(key), item)]
