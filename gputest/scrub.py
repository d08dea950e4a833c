"""Takes out what identifies a machine, so that its report can be given away (``nvtopo.reports.scrub``).

The host's name never comes in: nvtopo is run under another.
"""

import msgspec

from nvtopo.model.records.snapshot import Snapshot
from nvtopo.reports import scrub


class Scrubber(scrub.Scrubber):
    """Replaces what identifies one machine."""

    def __init__(self, snapshot: Snapshot | None) -> None:
        """Learns the machine's identifiers from what was read of it."""
        super().__init__((msgspec.to_builtins(snapshot),) if snapshot else ())

    def capture(self, snapshot: Snapshot) -> bytes:
        """The snapshot as a capture file."""
        return msgspec.json.format(msgspec.json.encode(self.built(msgspec.to_builtins(snapshot))), indent=1) + b"\n"
