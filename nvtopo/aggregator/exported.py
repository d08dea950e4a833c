"""Exported objects at the API server: read, written and deleted, ours and nobody else's."""

import contextlib
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from nvtopo.errors import ApiError, Conflict, NotFound, ParseError
from nvtopo.exporters.schedulers import owned
from nvtopo.exporters.schedulers.owned import ANY_VERSION, COLLECTIONS, Collection, Owner
from nvtopo.kube import discovery, unowned_fields
from nvtopo.kube.client import Client
from nvtopo.wire.documents import Json

MANAGER: Final = "nvtopo-export"
_OBJECT: Final = Json(dict[str, Any], "an object")
Object = dict[str, Any]


class PlannedWrite(NamedTuple):
    """What is to become of one object."""

    document: bytes | None
    """None to delete it."""
    known: bool
    """Whether it is there already, and ours."""


class Exported:
    """One kind of export as one owner has it."""

    def __init__(self, client: Client, kind: str, owner: Owner) -> None:
        self._client = client
        self._kind = kind
        self._owner = owner
        self.collections = COLLECTIONS[kind]
        """As ``list`` found them served."""

    def list(self) -> dict[str, Object]:
        """Path → object, of all that are ours.

        Raises:
            ApiError: they were not read: ``NotFound`` if their kind is not installed.
            ParseError: the answer is no list.
        """
        self.collections = tuple(map(self._served, COLLECTIONS[self._kind]))
        return dict(self._found())

    def _served(self, collection: Collection) -> Collection:
        group, _, version = collection.api_version.partition("/")
        if version != ANY_VERSION:
            return collection
        return collection._replace(api_version=discovery.served(self._client, group, collection.plural))

    def _found(self) -> Iterator[tuple[str, Object]]:
        for collection in self.collections:
            path = collection.path(self._owner.namespace)
            for page in self._client.pages(path, selector=owned.selector(self._kind)):
                for item in page.items:
                    try:
                        found = _OBJECT.read(bytes(item))
                    except ParseError:
                        continue
                    if owned.is_ours(found, self._kind, self._owner):
                        yield f"{path}/{found['metadata'].get('name', '')}", found

    def write(self, path: str, change: PlannedWrite) -> None:
        """Apply it, or delete it. An object of that name that is not ours is left as it is.

        Raises:
            Conflict: there is one.
            ApiError: the server refused, or did not answer.
        """
        if not self._is_free_or_ours(path, change):
            raise Conflict(
                f"{path}: there is one that nvtopo did not write: rename it, or choose another --name", status=409
            )
        if change.document is None:
            with contextlib.suppress(NotFound):
                self._client.delete(path)
            return
        self._client.apply(path, change.document, manager=MANAGER)

    def _is_free_or_ours(self, path: str, change: PlannedWrite) -> bool:
        if change.known:
            return True
        try:
            return owned.is_ours(_OBJECT.read(self._client.get(path)), self._kind, self._owner)
        except NotFound:
            return True
        except ParseError as error:
            raise ApiError(str(error)) from error


def is_as_wanted(found: Object, wanted: Object) -> bool:
    """Whether an object has all that is wanted, and nothing beside it in the parts that we apply.

    The API server's lists leave out what kind of object each is.
    """
    found = {"apiVersion": wanted["apiVersion"], "kind": wanted["kind"], **found}
    if not owned.has(found, wanted):
        return False
    return unowned_fields.removal(msgspec.json.encode(wanted), msgspec.json.encode(found)) is None


def prune(client: Client, kind: str, owner: Owner) -> int:
    """Delete all objects of a kind that are ours; how many there were.

    Raises:
        ApiError: the server refused, or did not answer.
        ParseError: its answer is no list.
    """
    exported = Exported(client, kind, owner)
    found = exported.list()
    for path in found:
        exported.write(path, PlannedWrite(None, known=True))
    return len(found)
