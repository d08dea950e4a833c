"""Keeps exported objects applied, while this replica leads: new ones, changed ones, and those that others changed.

What changed in the graph is written at once, after a pause that joins changes. Every ``CHECK_SECONDS`` our objects are
read, so that what somebody edited or deleted comes back, and what no graph has any more goes.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Protocol

import msgspec

from nvtopo.aggregator.exported import Exported, PlannedWrite, is_as_wanted
from nvtopo.aggregator.loop import Aggregator
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.errors import ApiError, ParseError
from nvtopo.exporters import document
from nvtopo.exporters.schedulers import kinds, owned, view
from nvtopo.exporters.schedulers.owned import Owner
from nvtopo.kube.applier import Applier
from nvtopo.kube.client import Client
from nvtopo.runtime.guard import Failed, Guard

logger = logging.getLogger(__name__)

CHECK_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 2.0
Objects = Mapping[str, dict[str, Any]]
"""Path → object."""


class TimedSource(Protocol):
    """A kind of export that follows from more than the graph, and from how long it lasted."""

    def adopt(self, found: Objects, term: int) -> None:
        """What of it is at the API server now."""

    def documents(self, graph: ClusterGraph) -> list[dict[str, Any]] | None:
        """Its objects; None while they are not known, so that nothing is written."""


class ExportKeeper:
    """Of some kinds, for one owner."""

    def __init__(  # noqa: PLR0913 - who, what, and clocks with defaults
        self,
        aggregator: Aggregator,
        client: Client,
        term: Callable[[], int | None],
        wanted: Sequence[str],
        owner: Owner,
        *,
        gangs: int = 1,
        timed: Mapping[str, TimedSource] = MappingProxyType({}),
        check_seconds: float = CHECK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """``term`` is the term of leadership, None for who does not lead; ``wanted`` are kinds of ``COLLECTIONS``.

        ``gangs`` is how many each NVLink domain admits at a time, for ``dra-domains``. Kinds of ``timed`` take their
        objects from there.
        """
        self._aggregator = aggregator
        self._term = term
        self._owner = owner
        self._gangs = gangs
        self._timed = timed
        self._check_seconds = check_seconds
        self._clock = clock
        self._wall_clock = wall_clock
        self._exported = {kind: Exported(client, kind, owner) for kind in wanted}
        self.applier: Applier[tuple[str, PlannedWrite]] = Applier("exports", self._write, term)
        """Its ``run`` runs beside ours."""
        self.objects: dict[str, int] = {}
        """Kind → how many objects there should be."""
        self.failed_at: dict[str, float] = {}
        """Kind → Unix time of the latest request about its objects that failed."""
        self._before: dict[str, Objects] = {}
        self._generation: int | None = None
        self._checked_in: int | None = None
        self._check_at = 0.0
        self._unread: set[str] = set()
        self._guard = Guard()
        self._changed = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop`` is set."""
        end_listening = self._aggregator.listen(self._changed.set)
        try:
            while not stop.is_set():
                self._changed.clear()
                graph, term = self._aggregator.graph, self._term()
                if graph is not None and term is not None:
                    self.keep(graph, term)
                self._changed.wait(_PAUSE_SECONDS)
                stop.wait(_PAUSE_SECONDS)
        finally:
            end_listening()

    def keep(self, graph: ClusterGraph, term: int) -> None:
        """Have written what changed; in a new term, and when it is time, compare with what is there."""
        now = self._clock()
        check = term != self._checked_in or now >= self._check_at
        if not graph.nodes:
            return  # a graph without a node is no reason to delete all
        if check:
            self._checked_in, self._check_at = term, now + self._check_seconds
        if check or graph.generation != self._generation:
            self._generation = graph.generation
            export = self._guard.call("graph", "export", lambda: self._export(graph))
            for kind in (one for one in self._exported if one not in self._timed):
                wanted = export if isinstance(export, Failed) else self._wanted(kind, export)
                self._keep(kind, wanted, self._found(kind) if check else None, term, check=check)
        for kind, source in self._timed.items():
            self._keep_timed(kind, source, graph, term, check=check)

    def _keep_timed(self, kind: str, source: TimedSource, graph: ClusterGraph, term: int, *, check: bool) -> None:
        found = self._found(kind) if check else None
        if found is not None:
            source.adopt(found, term)
        elif check or kind not in self._before:
            return
        documents = self._guard.call(kind, "export", lambda: source.documents(graph))
        if documents is None:
            return
        wanted = documents if isinstance(documents, Failed) else self._marked(kind, documents)
        self._keep(kind, wanted, found, term, check=check)

    def _keep(self, kind: str, wanted: Objects | Failed, found: Objects | None, term: int, *, check: bool) -> None:
        if isinstance(wanted, Failed):  # what is there stays
            self._failed(kind, wanted.reason)
            return
        self.objects[kind] = len(wanted)
        if found is not None:
            self._compare(kind, wanted, found, term)
        elif not check and kind in self._before:
            self._follow(kind, wanted, term)
        self._before[kind] = wanted

    def _export(self, graph: ClusterGraph) -> kinds.Export:
        whole = document.of(graph)
        return kinds.Export(
            view.of(whole), whole, self._owner.name, self._owner.namespace, nodes=graph.nodes, gangs=self._gangs
        )

    def _wanted(self, kind: str, export: kinds.Export) -> Objects | Failed:
        return self._guard.call(kind, "export", lambda: self._marked(kind, kinds.OBJECTS[kind](export)))

    def _marked(self, kind: str, documents: list[dict[str, Any]]) -> Objects:
        return owned.marked(documents, kind, self._owner, self._exported[kind].collections)

    def _found(self, kind: str) -> Objects | None:
        """What is there of ours; None if it can't be read."""
        try:
            found = self._exported[kind].list()
        except (ApiError, ParseError) as error:
            self._failed(kind, str(error))
            return None
        self._unread.discard(kind)
        return found

    def _compare(self, kind: str, wanted: Objects, found: Objects, term: int) -> None:
        for path in dict.fromkeys((*wanted, *found)):
            if path not in wanted:
                self._want(kind, path, PlannedWrite(None, known=True), term)
            elif path not in found or not is_as_wanted(found[path], wanted[path]):
                self._want(kind, path, _change(wanted[path], known=path in found), term)

    def _follow(self, kind: str, wanted: Objects, term: int) -> None:
        before = self._before[kind]
        for path in dict.fromkeys((*wanted, *before)):
            if path not in wanted:
                self._want(kind, path, PlannedWrite(None, known=False), term)
            elif wanted[path] != before.get(path):
                self._want(kind, path, _change(wanted[path], known=False), term)

    def _want(self, kind: str, path: str, change: PlannedWrite, term: int) -> None:
        """Even if it was written before: it is not there any more as it was."""
        self.applier.forget(path)
        self.applier.want(path, (kind, change), term)

    def _write(self, path: str, wanted: tuple[str, PlannedWrite]) -> None:
        kind, change = wanted
        try:
            self._exported[kind].write(path, change)
        except ApiError:
            self.failed_at[kind] = self._wall_clock()
            raise

    def _failed(self, kind: str, reason: str) -> None:
        if kind not in self._unread:
            logger.warning("cannot compare what is exported, trying on", extra={"kind": kind, "reason": reason})
        self._unread.add(kind)
        self.failed_at[kind] = self._wall_clock()


def _change(wanted: dict[str, Any], *, known: bool) -> PlannedWrite:
    return PlannedWrite(msgspec.json.encode(wanted), known)
