"""Reading the collection of NodeTopologies: list once, watch on from there, know what was seen.

Decoding is per object: one that is not what the schema promises becomes ``Unreadable`` and stays alone. The API server
checks objects against its CRD, but an older CRD, or none, may have let anything in.
"""

import threading
from collections.abc import Iterator
from typing import Final

import msgspec

from nvtopo.cluster.inventory import Applied, Deleted, Event, Listed, Unreadable
from nvtopo.errors import ParseError
from nvtopo.kube.client import Client
from nvtopo.kube.refusal import one_line
from nvtopo.kube.stream import WatchEvent
from nvtopo.kube.v1alpha1 import COLLECTION, Envelope, Head, Metadata
from nvtopo.model.spec import whole

_HEAD: Final = msgspec.json.Decoder(Head)
_ENVELOPE: Final = msgspec.json.Decoder(Envelope)


class Reader:
    """One reader's place in the history of the collection."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._seen: dict[str, tuple[str, int]] = {}
        self._place: str | None = None

    @property
    def lost(self) -> bool:
        """Whether the next thing to do is to list."""
        return self._place is None

    def lose(self) -> None:
        """Forgets the place: what follows it can't be had any more."""
        self._place = None

    def list(self) -> Listed:
        """The whole collection; the watch goes on from here."""
        nodes, unreadable, seen, place = {}, {}, {}, ""
        for page in self._client.pages(COLLECTION):
            place = page.metadata.resource_version
            for item in page.items:
                metadata = _metadata(item)
                seen[metadata.name] = (metadata.uid, metadata.generation)
                match _event(metadata.name, item):
                    case Applied(name, topology):
                        nodes[name] = topology
                    case Unreadable(name, reason):
                        unreadable[name] = reason
        self._seen, self._place = seen, place
        return Listed(nodes, unreadable)

    def watch(self, stop: threading.Event) -> Iterator[Event | None]:
        """What happens next, until the server ends the watch; None is a sign of life without news."""
        for event in self._client.watch(COLLECTION, self._place or "", stop):
            metadata = _metadata(event.object)
            news = self._news(event, metadata)
            self._place = metadata.resource_version or self._place
            yield news

    def _news(self, event: WatchEvent, metadata: Metadata) -> Event | None:
        """A change of ``spec``; the aggregator's own writes of ``status`` come back here too and are no news."""
        name, version = metadata.name, (metadata.uid, metadata.generation)
        match event.type:
            case "DELETED":
                self._seen.pop(name, None)
                return Deleted(name)
            case "ADDED" | "MODIFIED" if self._seen.get(name) != version:
                self._seen[name] = version
                return _event(name, event.object)
        return None


def _metadata(item: msgspec.Raw) -> Metadata:
    try:
        return _HEAD.decode(item).metadata
    except msgspec.MsgspecError as error:
        raise ParseError(f"{COLLECTION}: expected an object with metadata: {error}") from error


def _event(name: str, item: msgspec.Raw) -> Applied | Unreadable:
    try:
        return Applied(name, whole(_ENVELOPE.decode(item).spec))
    except msgspec.MsgspecError as error:
        return Unreadable(name, one_line(str(error)))
