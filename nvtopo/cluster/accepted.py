"""The records of what an operator accepted: acts, each of some nodes, that end by themselves or are revoked.

Moments are RFC 3339 in UTC with whole seconds, which compare as text.
"""

from typing import Annotated, Final

from msgspec import Meta

from nvtopo.model.records.expected import Expectation
from nvtopo.model.records.record import Bytes, Name, Record, ShortWord

MOST_ACTS: Final = 256
MOST_FACTS: Final = 64
MOST_NODES: Final = 50_000
LONGEST_REASON: Final = 256

Moment = Annotated[str, Meta(max_length=20, pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")]
Reason = Annotated[str, Meta(max_length=LONGEST_REASON)]


class AcceptedFact(Record, frozen=True, kw_only=True):
    """One fact that no field of an expectation says, such as the MTU of a single NIC."""

    kind: ShortWord
    subject: Name
    path: Name
    value: Bytes | Name


class Acceptance(Record, frozen=True, kw_only=True):
    """What is accepted of one node."""

    expect: Expectation = Expectation()
    facts: Annotated[tuple[AcceptedFact, ...], Meta(max_length=MOST_FACTS)] = ()
    at: Moment
    until: Moment | None = None
    """None: until it is revoked."""
    reason: Reason = ""


class Group(Record, frozen=True, kw_only=True):
    """Nodes of which the same is accepted."""

    nodes: Annotated[tuple[Name, ...], Meta(max_length=MOST_NODES)]
    expect: Expectation
    facts: Annotated[tuple[AcceptedFact, ...], Meta(max_length=MOST_FACTS)] = ()


class Act(Record, frozen=True, kw_only=True):
    """What an operator accepted at one moment."""

    at: Moment
    until: Moment | None = None
    reason: Reason = ""
    groups: Annotated[tuple[Group, ...], Meta(max_length=MOST_NODES)]

    def ended(self, now: str) -> bool:
        """Whether it no longer counts."""
        return self.until is not None and self.until <= now
