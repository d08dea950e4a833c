"""The thread that follows which nodes are cordoned: what differs on them is no drift."""

from collections.abc import Callable

from nvtopo.aggregator.looking import LOOK_SECONDS, Looking
from nvtopo.errors import ApiError, ParseError


class Maintenance(Looking):
    """While the API server is away, what was read last counts. The grace after maintenance is longer than a look."""

    def __init__(self, look: Callable[[], tuple[frozenset[str], str]], *, look_seconds: float = LOOK_SECONDS) -> None:
        """``look`` gives the cordoned nodes, and why some can't be read."""
        super().__init__("cannot know of all nodes whether they are cordoned", look_seconds)
        self._look = look
        self._nodes: frozenset[str] = frozenset()

    def nodes(self) -> frozenset[str]:
        """Those of the latest look; from any thread."""
        return self._nodes

    def look(self) -> str:
        """Take over the nodes."""
        try:
            self._nodes, reason = self._look()
        except (ApiError, ParseError) as error:
            return str(error)
        return reason
