"""The audit trail of every node: what the API server keeps, and what was noted since from one graph to the next."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from nvtopo.cluster import history
from nvtopo.cluster.history import Entry, History, Limits, Sight
from nvtopo.cluster.nodes import GraphNode
from nvtopo.kube.timestamps import rfc3339
from nvtopo.model.changes.topology import fact_changes
from nvtopo.model.records.node import NodeTopology

#: Nodes that are gone and whose trail is still known, the newest of them.
_MOST_GONE: Final = 1000


class _Seen(NamedTuple):
    topology: NodeTopology | None
    sight: Sight


class Trail:
    """Usable from several threads at once."""

    def __init__(self, limits: Limits | None = None, clock: Callable[[], float] = time.time) -> None:
        """``clock`` gives Unix seconds."""
        self._limits = limits or Limits()
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, _Seen] = {}
        #: As the API server keeps them.
        self._written: dict[str, History] = {}
        #: What we noted and the API server does not have yet.
        self._unwritten: dict[str, History] = {}
        #: Both as one, within the limits.
        self._trails: dict[str, History] = {}
        self._gone: dict[str, None] = {}
        self._version = 0

    @property
    def version(self) -> int:
        """It grows with each change of any trail."""
        return self._version

    def remember(self, histories: Mapping[str, History]) -> None:
        """Takes in what the API server keeps of these nodes."""
        with self._lock:
            for name, theirs in histories.items():
                if theirs:  # a status without a trail is one that nobody has written yet, or that was lost
                    self._written[name] = theirs
                    self._join(name)

    def see(self, name: str, node: GraphNode | None) -> None:
        """Notes what is otherwise than before; None for a node that is gone. The first sight is no change."""
        with self._lock:
            before, at = self._seen.get(name), self._now()
            if node is None:
                if before is not None and before.sight.present:
                    gone = Sight(present=False)
                    self._seen[name] = _Seen(None, gone)
                    self._add(name, history.of_sights(Sight(), gone, at))
                    self._leave(name)
                return
            self._gone.pop(name, None)
            sight = Sight(None if node.judged is None else node.judged.ready, node.stale)
            known = before.topology if before is not None else None
            self._seen[name] = _Seen(node.topology or known, sight)
            if before is None:
                return
            if not before.sight.present:
                self._add(name, history.of_sights(before.sight, Sight(), at))
                return
            facts = () if known is None or node.topology is None else fact_changes(known, node.topology)
            self._add(name, (*history.of_sights(before.sight, sight, at), *history.entries(facts, at)))

    def of(self, name: str) -> History:
        """The trail of one node, oldest first."""
        with self._lock:
            return self._trails.get(name, ())

    def of_all(self) -> dict[str, History]:
        """Every trail that has an entry."""
        with self._lock:
            return dict(self._trails)

    def _add(self, name: str, new: tuple[Entry, ...]) -> None:
        if new:
            self._unwritten[name] = (*self._unwritten.get(name, ()), *new)
            self._join(name)

    def _join(self, name: str) -> None:
        written, now = self._written.get(name, ()), self._now()
        left = history.unwritten(self._unwritten.get(name, ()), written)
        _put(self._unwritten, name, history.kept(left, self._limits, now))
        before = self._trails.get(name)
        _put(self._trails, name, history.kept(history.continued(written, left), self._limits, now))
        if self._trails.get(name) != before:
            self._version += 1

    def _leave(self, name: str) -> None:
        """Of nodes that are gone, the newest are kept."""
        self._gone[name] = None
        while len(self._gone) > _MOST_GONE:
            oldest = next(iter(self._gone))
            for known in (self._gone, self._seen, self._trails, self._written, self._unwritten):
                known.pop(oldest, None)
            self._version += 1

    def _now(self) -> str:
        return rfc3339(self._clock())


def _put(trails: dict[str, History], name: str, trail: History) -> None:
    """An empty one is not kept."""
    if trail:
        trails[name] = trail
    else:
        trails.pop(name, None)
