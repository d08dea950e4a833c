"""Reading the collection of NodeTopologies: list once, watch on from there, know what was seen.

Each object is decoded by itself: one that does not match the schema, or whose bytes are no JSON, becomes
``Unreadable`` and affects no other. The API server checks objects against its CRD, but an older CRD, or none, may have
let anything in.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from nvtopo.cluster.events import Applied, Deleted, Event, Listed, Recorded, Unreadable
from nvtopo.cluster.records import EMPTY
from nvtopo.errors import ParseError
from nvtopo.kube import v1alpha1_status
from nvtopo.kube.client import Client
from nvtopo.kube.stream import WatchEvent
from nvtopo.kube.v1alpha1 import COLLECTION, Head, Metadata
from nvtopo.kube.v1alpha1_status import Envelope, Kept, Memory, Status, Written
from nvtopo.model.formats.limits import LARGEST_OBJECT_BYTES
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.spec import expand
from nvtopo.runtime.guard import Failed, Guard
from nvtopo.wire.documents import Json, one_line

logger = logging.getLogger(__name__)


class _LooseHead(msgspec.Struct):
    """An object whose metadata has a value of another type."""

    metadata: dict[str, msgspec.Raw]


_HEAD: Final = Json(Head, "an object with metadata")
_LOOSE_HEAD: Final = Json(_LooseHead, "an object with metadata")
_TEXT: Final = Json(str, "a string")
_ENVELOPE: Final = Json(Envelope, "a NodeTopology")
_WRITTEN: Final = Json(Written, "a NodeTopology's status")
_NO_STATUS: Final = Status()
_NOTHING: Final = Kept()
_MEMORY: Final = Json(Memory, "a NodeTopology's status")
_GUARD: Final = Guard((ParseError, ValueError))
Coming = Callable[[Mapping[str, NodeTopology]], None]
"""Takes nodes of a list that is not whole yet: what follows from each alone can be worked out meanwhile."""


class Reader:
    """One reader's place in the history of the collection."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._seen: dict[str, tuple[str, int]] = {}
        self._kept: dict[str, Kept] = {}
        """What the API server keeps of the nodes, of those of which it keeps anything."""
        self.statuses: dict[str, bytes] = {}
        """What the API server has of each status, as a digest, of those that have one and can be read."""
        self.drifting: set[str] = set()
        """The nodes whose status says that they drift."""
        self._place: str | None = None
        self.foreign: frozenset[str] | None = None
        """The names of objects that do not go with the Node of their name alone; None before the first list."""

    @property
    def lost(self) -> bool:
        """Whether it must list next."""
        return self._place is None

    def lose(self) -> None:
        """Forget the place, because the API server no longer has the events that follow it."""
        self._place = None

    def list(self, coming: Coming = lambda _nodes: None) -> Listed:
        """The whole collection; the watch goes on from here. ``coming`` is given each page's nodes meanwhile."""
        nodes, unreadable, kept, seen, place = dict[str, NodeTopology](), {}, dict[str, Kept](), {}, ""
        foreign: set[str] = set()
        self.statuses, self.drifting = {}, set()
        for page in self._client.pages(COLLECTION):
            place, of_page = page.metadata.resource_version, dict[str, NodeTopology]()
            for item in page.items:
                metadata = _metadata(item)
                if not metadata.name:
                    logger.warning("an object without a name that can be read is left out")
                    continue
                seen[metadata.name] = (metadata.uid, metadata.generation)
                found = self._read(metadata.name, item)
                if found != _NOTHING:
                    kept[metadata.name] = found
                if not metadata.goes_with_its_node:
                    foreign.add(metadata.name)
                match _event(metadata.name, item):
                    case Applied(name, topology):
                        of_page[name] = topology
                    case Unreadable(name, reason):
                        unreadable[name] = reason
            nodes |= of_page
            coming(of_page)  # the next page is on its way
        self._seen, self._kept, self._place, self.foreign = seen, kept, place, frozenset(foreign)
        records = {name: one.record for name, one in kept.items() if one.record != EMPTY}
        return Listed(nodes, unreadable, records, {name: one.history for name, one in kept.items() if one.history})

    def watch(self, stop: threading.Event) -> Iterator[Event | None]:
        """What happens next, until the server ends the watch; None is a sign of life without news."""
        for event in self._client.watch(COLLECTION, self._place or "", stop):
            metadata = _metadata(event.object)
            self._note_owner(event, metadata)
            kept = self._read(metadata.name, event.object)
            news = self._news(event, metadata, kept)
            self._place = metadata.resource_version or self._place
            yield news

    def _note_owner(self, event: WatchEvent, metadata: Metadata) -> None:
        """Owners and finalizers change without a new generation."""
        foreign = self.foreign or frozenset()
        odd = event.type in ("ADDED", "MODIFIED") and bool(metadata.name) and not metadata.goes_with_its_node
        if odd != (metadata.name in foreign):
            self.foreign = foreign | {metadata.name} if odd else foreign - {metadata.name}

    def _read(self, name: str, item: msgspec.Raw) -> Kept:
        """What is kept of a node; nothing if it is malformed. Notes the whole status by the way."""
        self._forget(name)
        if memoryview(item).nbytes > LARGEST_OBJECT_BYTES:
            return _NOTHING
        try:
            status = _WRITTEN.read(item).status
        except ParseError:
            return _kept(item)
        if status != _NO_STATUS:
            self.statuses[name] = v1alpha1_status.digest(status)
        if any(one.type == "Drift" and one.status == "True" for one in status.conditions):
            self.drifting.add(name)
        return status.kept

    def _forget(self, name: str) -> None:
        self.statuses.pop(name, None)
        self.drifting.discard(name)

    def _news(self, event: WatchEvent, metadata: Metadata, kept: Kept) -> Event | None:
        """A change of ``spec``, or of what is kept in ``status``; all else in there is no news."""
        name, version = metadata.name, (metadata.uid, metadata.generation)
        match event.type:
            case "DELETED" if name:
                self._seen.pop(name, None)
                self._kept.pop(name, None)
                self._forget(name)
                return Deleted(name)
            case "ADDED" | "MODIFIED" if name and self._seen.get(name) != version:
                self._seen[name] = version
                return _event(name, event.object)
            case "ADDED" | "MODIFIED" if name:
                if self._kept.get(name, _NOTHING) != kept:
                    self._kept[name] = kept
                    return Recorded(name, kept.record, kept.history)
        return None


def _metadata(item: msgspec.Raw) -> Metadata:
    """Its metadata; as much of it as can be read; without a name if not even that can be."""
    try:
        return _HEAD.read(item).metadata
    except ParseError:
        pass
    try:
        said = _LOOSE_HEAD.read(item).metadata
    except ParseError:
        return Metadata()
    name, uid, version = (_text(said.get(key)) for key in ("name", "uid", "resourceVersion"))
    return Metadata(name=name, uid=uid, resource_version=version)


def _text(value: msgspec.Raw | None) -> str:
    """A string; empty for anything else."""
    try:
        return "" if value is None else _TEXT.read(value)
    except ParseError:
        return ""


def _kept(item: msgspec.Raw) -> Kept:
    """What is kept of a node whose status another version of ours wrote; nothing if that can't be read either."""
    try:
        return _MEMORY.read(item).status
    except ParseError:
        return _NOTHING


def _event(name: str, item: msgspec.Raw) -> Applied | Unreadable:
    size = memoryview(item).nbytes
    if size > LARGEST_OBJECT_BYTES:
        return Unreadable(name, f"expected an object of at most {LARGEST_OBJECT_BYTES} bytes, got {size}")
    found = _GUARD.call(name, "decode", lambda: expand(_ENVELOPE.read(item).spec))
    return Unreadable(name, one_line(found.reason)) if isinstance(found, Failed) else Applied(name, found)
