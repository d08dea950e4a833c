"""``Change``: one fact that differs between two readings of a node, with the values of both sides.

Events, ``diff``, the audit metrics and drift are made of it. Its words are in ``nvtopo.model.changes.words``.
"""

from typing import Any, Final

from nvtopo.model.records.record import Record

DERIVED: Final = "derived"
"""The kind of a change of what follows from the facts."""


class Change(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One change."""

    kind: str
    """The part of the node that it is about: a field of the resource's ``spec`` such as ``gpus``, or ``derived``."""
    subject: str
    """What changed: ``GPU3``, ``mlx5_2``, ``NUMA node 0``, ``host``, ``node``."""
    path: str = ""
    """The fact of the subject, in the resource's names: ``link.width``, ``ports.1.state``. Empty where the subject came
    or went as a whole. ``nvlinks.state`` has the state of all NVLinks, by link numbers."""
    before: Any = None
    """As in JSON; null where it was not known, or the subject was not there."""
    after: Any = None
    """As in JSON; null where it is not known, or the subject is gone."""

    @property
    def new(self) -> bool:
        """The subject was not there before."""
        return not self.path and self.before is None

    @property
    def gone(self) -> bool:
        """The subject is there no longer."""
        return not self.path and self.after is None

    def within(self, fact: str) -> bool:
        """Whether it is about this fact of its subject, or about a part of it."""
        return self.path == fact or self.path.startswith(f"{fact}.")
