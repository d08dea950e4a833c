"""The thread that follows the Nodes' labels and tells the loop what they say of tiers."""

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from nvtopo.cluster.claims import Reading
from nvtopo.fabrics import labels
from nvtopo.kube.following import fold
from nvtopo.kube.node_labels import LabelEvent, Labels

SOURCE: Final = "labels"
PAUSE_SECONDS: Final = 1.0
"""Between two tellings: all labels are compared with each other each time."""


class LabelSource(Protocol):
    """What is needed of ``kube.node_labels.NodeLabels``."""

    def events(self, stop: threading.Event) -> Iterator[LabelEvent]:
        """What happens to the Nodes' labels, until ``stop`` is set."""


class NodeLabelTiers:
    """Follows the labels while ``run`` runs, and publishes what they say whenever that changes."""

    def __init__(
        self,
        source: LabelSource,
        publish: Callable[[Mapping[str, Reading]], None],
        *,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        self._source = source
        self._publish = publish
        self._pause = pause_seconds
        self._changed = threading.Condition()
        self._nodes: dict[str, Labels] = {}
        self._fresh = False
        self._over = False

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop`` is set."""
        reader = threading.Thread(target=self._read, args=(stop,), name="node-labels", daemon=True)
        reader.start()
        published: Mapping[str, Reading] = {}
        while (nodes := self._next()) is not None:
            found = labels.read([_as_node(name, said) for name, said in sorted(nodes.items())])
            if found != published:
                published = found
                self._publish(found)
            stop.wait(self._pause)
        reader.join()

    def _next(self) -> dict[str, Labels] | None:
        """All labels once any changed; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._fresh or self._over)
            self._fresh = False
            return None if self._over else dict(self._nodes)

    def _read(self, stop: threading.Event) -> None:
        try:
            for event in self._source.events(stop):
                self._take(event)
                if stop.is_set():
                    break
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _take(self, event: LabelEvent) -> None:
        with self._changed:
            if fold(self._nodes, event):
                self._fresh = True
                self._changed.notify_all()


def _as_node(name: str, said: Labels) -> Mapping[str, object]:
    return {"metadata": {"name": name, "labels": dict(said)}}
