"""The audit trail of every node: noted from one graph to the next, joined with what the API server keeps."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from nvtopo.cluster import history
from nvtopo.cluster.history import Entry, History, Limits, Sight
from nvtopo.cluster.nodes import GraphNode
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
        self._trails: dict[str, History] = {}
        #: What another replica noted before we did: when we come to it, it is there already.
        self._ahead: dict[str, History] = {}
        self._gone: dict[str, None] = {}

    def remember(self, histories: Mapping[str, History]) -> None:
        """Takes in what the API server keeps of these nodes."""
        with self._lock:
            for name, theirs in histories.items():
                ours = self._trails.get(name, ())
                self._await(name, (*self._ahead.get(name, ()), *history.apart(ours, theirs)[1]))
                self._keep(name, history.joined(ours, theirs))

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
            alone, ahead = history.apart(new, self._ahead.get(name, ()))
            self._await(name, ahead)
            self._keep(name, (*self._trails.get(name, ()), *alone))

    def _await(self, name: str, ahead: Iterable[Entry]) -> None:
        left = history.recent(ahead, self._now())
        if left:
            self._ahead[name] = left
        else:
            self._ahead.pop(name, None)

    def _keep(self, name: str, trail: tuple[Entry, ...]) -> None:
        kept = history.kept(trail, self._limits, self._now())
        if kept:
            self._trails[name] = kept
        else:
            self._trails.pop(name, None)

    def _leave(self, name: str) -> None:
        """Of nodes that are gone, the newest are kept."""
        self._gone[name] = None
        while len(self._gone) > _MOST_GONE:
            oldest = next(iter(self._gone))
            for known in (self._gone, self._seen, self._trails, self._ahead):
                known.pop(oldest, None)

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
