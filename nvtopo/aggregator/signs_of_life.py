"""The thread that follows the agents' pods and tells the loop which nodes are stale."""

import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from typing import Final, Protocol

from nvtopo.cluster import silence
from nvtopo.cluster.silence import Moment, PodEvent, Silence
from nvtopo.kube.timestamps import rfc3339

#: How long an agent may be not ready before its node is stale. A dead kubelet's pods become not ready after 50 s.
GRACE_SECONDS: Final = 30.0
#: How often time alone is looked at.
_TICK_SECONDS: Final = 1.0
#: Events that were not looked at yet; a watch that brings more waits.
_MOST_EVENTS: Final = 1024


class PodSource(Protocol):
    """What is needed of ``kube.agent_pods.AgentPods``."""

    def events(self, stop: threading.Event) -> Iterator[PodEvent]:
        """What happens to the agents' pods, until ``stop`` is set."""


def now() -> Moment:
    """The time now, by the monotonic clock and as Unix seconds."""
    return Moment(time.monotonic(), time.time())


class SignsOfLife:
    """Follows the pods while ``run`` runs."""

    def __init__(
        self,
        source: PodSource,
        nodes: Callable[[], Collection[str]],
        publish: Callable[[Mapping[str, str | None]], None],
        *,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        """``nodes`` gives the names that the graph has; ``publish`` takes the stale ones whenever they change."""
        self._source = source
        self._nodes = nodes
        self._publish = publish
        self._grace = grace_seconds
        self._events: queue.Queue[PodEvent] = queue.Queue(_MOST_EVENTS)

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop`` is set."""
        reader = threading.Thread(target=self._read, args=(stop,), name="agent-pods", daemon=True)
        reader.start()
        state, published = Silence(), dict[str, float | None]()
        while not stop.is_set():
            state = silence.step(state, self._next(), self._nodes(), now(), self._grace)
            found = silence.stale(state)
            if found != published:
                self._publish({name: None if heard is None else rfc3339(heard) for name, heard in found.items()})
                published = found
        reader.join()

    def _next(self) -> PodEvent | None:
        with suppress(queue.Empty):
            return self._events.get(timeout=_TICK_SECONDS)
        return None

    def _read(self, stop: threading.Event) -> None:
        for event in self._source.events(stop):
            while not stop.is_set():
                with suppress(queue.Full):
                    self._events.put(event, timeout=_TICK_SECONDS)
                    break
            if stop.is_set():
                return
