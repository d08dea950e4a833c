"""What the cluster expects of one node, as the aggregator writes it in ``status``."""

from nvtopo.model.records.expected import Expectation
from nvtopo.model.records.record import Record, ShortWord, Text


class Standing(Record, frozen=True, kw_only=True):
    """What stands for a node if no file of the operator's says otherwise."""

    accepted: Expectation | None = None
    """What an operator accepted as right."""
    until: ShortWord = ""
    """RFC 3339, when what was accepted ends; empty if it stands until it is revoked."""
    reason: Text = ""
    """Why it was accepted, in the operator's words."""
    learned: Expectation | None = None
    """What other machines of its shape have."""
