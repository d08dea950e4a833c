"""Any collection of the API server, followed: listed once, watched on from there, and listed again after each loss.

What fails is tried again for as long as that takes, and meanwhile what was told stays as it is.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from nvtopo.errors import ApiError, Forbidden, NotFound, ParseError
from nvtopo.kube.client import Client
from nvtopo.kube.refusal import Throttled
from nvtopo.kube.v1alpha1 import Head
from nvtopo.runtime.backoff import Backoff
from nvtopo.wire.documents import Json

logger = logging.getLogger(__name__)

#: Between watches that end without a word, which may have ended at once.
_SILENT_WATCH_SECONDS: Final = 1.0
#: After a refusal: an operator may grant the right, or install the definition, later.
FORBIDDEN_SECONDS: Final = 300.0

#: Of different reasons why an object can't be read, before they are said anew.
_MOST_REASONS: Final = 64
_HEAD: Final = Json(Head, "a bookmark")

T = TypeVar("T")


class Listed(NamedTuple, Generic[T]):
    """The whole collection: replaces everything known before."""

    objects: Mapping[str, T]


class Changed(NamedTuple, Generic[T]):
    """An object is like this now; None if it is gone."""

    name: str
    value: T | None


def fold(known: dict[str, T], event: Listed[T] | Changed[T]) -> bool:
    """Take in what happened to a collection; whether what is known of it changed: a sign of life changes nothing."""
    if isinstance(event, Listed):
        changed = known != event.objects
        if changed:
            known.clear()
            known.update(event.objects)
    elif event.value is None:
        changed = known.pop(event.name, None) is not None
    else:
        changed = known.get(event.name) != event.value
        known[event.name] = event.value
    return changed


class Read(NamedTuple, Generic[T]):
    """What is read of one object."""

    name: str
    version: str
    """Its resource version, empty if it has none."""
    value: T


class Words(NamedTuple):
    """What the log says."""

    what: str
    """What is followed: ``the labels of the Nodes``."""
    one: str
    """One of them: ``a Node``."""
    forbidden: str
    """Which right is missing, and what follows from that."""


class Collection(NamedTuple, Generic[T]):
    """What is followed, and how."""

    path: str
    read: Callable[[msgspec.Raw], Read[T]]
    """Raises ParseError for what is none, which costs this one object alone."""
    words: Words
    as_list: str = "application/json"
    as_one: str = "application/json"
    fields: str = ""
    """A field selector: a part of the collection."""


class Following(Generic[T]):
    """One collection."""

    def __init__(
        self,
        client: Client,
        collection: Collection[T],
        *,
        backoff: Callable[[], Backoff] = Backoff,
        forbidden_seconds: float = FORBIDDEN_SECONDS,
    ) -> None:
        self._client = client
        self._collection = collection
        self._backoff = backoff
        self._forbidden_seconds = forbidden_seconds
        self._left_out: set[str] = set()
        """Reasons that were said."""

    def events(self, stop: threading.Event) -> Iterator[Listed[T] | Changed[T]]:
        """``Listed`` first and after each loss, then what happens, until ``stop`` is set.

        A refusal is said once, and asked again after minutes.
        """
        words = self._collection.words
        backoff, failing = self._backoff(), False
        while not stop.is_set():
            try:
                objects, place = self._list()
                yield Listed(objects)
                if failing:
                    logger.warning("%s can be read again", words.what)
                backoff.reset()
                failing = False
                yield from self._watch(place, stop)
            except (ApiError, ParseError) as error:
                if not failing and not stop.is_set():
                    said = words.forbidden if isinstance(error, Forbidden) else f"cannot follow {words.what}, trying on"
                    logger.warning("%s", said, extra={"reason": str(error)})
                failing = True
                stop.wait(self._pause(backoff, error))

    def _pause(self, backoff: Backoff, error: ApiError | ParseError) -> float:
        if isinstance(error, (Forbidden, NotFound)):
            return self._forbidden_seconds
        return backoff.delay(error.retry_after if isinstance(error, Throttled) else 0.0)

    def _list(self) -> tuple[dict[str, T], str]:
        found: dict[str, T] = {}
        place = ""
        of = self._collection
        for page in self._client.pages(of.path, fields=of.fields, accept=of.as_list):
            place = page.metadata.resource_version
            for item in page.items:
                one = self._read(item)
                if one is not None and one.name:
                    found[one.name] = one.value
        return found, place

    def _watch(self, place: str, stop: threading.Event) -> Iterator[Changed[T]]:
        """Watches one after the other, each from where the one before ended."""
        while not stop.is_set():
            silent = True
            of = self._collection
            for event in self._client.watch(of.path, place, stop, fields=of.fields, accept=of.as_one):
                silent = False
                if event.type == "BOOKMARK":
                    place = _place(event.object) or place
                    continue
                one = self._read(event.object)
                if one is None:
                    continue
                place = one.version or place
                if event.type == "DELETED" and one.name:
                    yield Changed(one.name, None)
                elif event.type in ("ADDED", "MODIFIED") and one.name:
                    yield Changed(one.name, one.value)
            if silent:
                stop.wait(_SILENT_WATCH_SECONDS)

    def _read(self, item: msgspec.Raw) -> Read[T] | None:
        try:
            return self._collection.read(item)
        except ParseError as error:
            self._leave_out(str(error))
            return None

    def _leave_out(self, reason: str) -> None:
        """Each reason is said once: an odd object comes again with every list and change."""
        if reason in self._left_out:
            return
        if len(self._left_out) >= _MOST_REASONS:
            self._left_out.clear()
        self._left_out.add(reason)
        logger.warning("%s can't be read, it is left out", self._collection.words.one, extra={"reason": reason})


def _place(bookmark: msgspec.Raw) -> str:
    """Of a bookmark, which has nothing but a resource version; empty if it has not even that."""
    try:
        return _HEAD.read(bookmark).metadata.resource_version
    except ParseError:
        return ""
