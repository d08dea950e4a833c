"""The thread that follows what operators accept, and tells the loop what counts now."""

import time
from collections.abc import Callable, Mapping

from nvtopo.aggregator.looking import LOOK_SECONDS, Looking
from nvtopo.cluster import acceptance
from nvtopo.cluster.accepted import Acceptance, Act
from nvtopo.errors import ApiError, NotFound, ParseError
from nvtopo.kube.timestamps import rfc3339


class AcceptanceWatch(Looking):
    """While the API server is away, what was read last counts until it ends. An act counts, and ends, a look late."""

    def __init__(
        self,
        look: Callable[[], tuple[Mapping[str, Act], Mapping[str, str]]],
        publish: Callable[[Mapping[str, Acceptance]], None],
        *,
        look_seconds: float = LOOK_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``look`` gives the acts, and those that can't be read with the reason; ``publish`` takes what counts."""
        super().__init__("cannot read all that was accepted", look_seconds)
        self._look = look
        self._publish = publish
        self._clock = clock
        self._acts: Mapping[str, Act] = {}
        self._published: Mapping[str, Acceptance] = {}

    def look(self) -> str:
        """Take over the acts, and publish what counts now."""
        reason = self._read()
        found = acceptance.standing(self._acts, rfc3339(self._clock()))
        if found != self._published:
            self._published = found
            self._publish(found)
        return reason

    def _read(self) -> str:
        try:
            self._acts, refused = self._look()
        except NotFound:
            self._acts = {}
            return ""
        except (ApiError, ParseError) as error:
            return str(error)
        return "; ".join(refused.values())
