"""What the agent's loop asks of everything that publishes a node."""

from typing import Protocol

from nvtopo.model.observation import Observation


class Sink(Protocol):
    """Somewhere an observation is published. It decides by itself whether anything has to be written."""

    @property
    def name(self) -> str:
        """What the sink is called in logs."""

    def see(self, observation: Observation) -> None:
        """Take notice of an observation: called for every one, in the loop's thread, and must neither wait nor fail.

        ``write`` may never get it, if a newer one comes first. Most sinks have nothing to note.
        """
        del observation

    def write(self, observation: Observation) -> None:
        """Make what it keeps true to the observation.

        Raises:
            NvtopoError: that failed, and nothing is half-written.
        """
