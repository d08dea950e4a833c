"""The ResourceSlices of one driver on one node: followed, compared by what was written, and written."""

from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec
from msgspec.structs import replace as changed

from nvtopo.errors import NotFound
from nvtopo.kube.client import Client
from nvtopo.kube.following import Collection, Read, Words
from nvtopo.kube.node_uid import node_uid
from nvtopo.kube.resource_slices import COLLECTION, DOCUMENT, Document

_WORDS: Final = Words(
    "the ResourceSlices of this node",
    "a ResourceSlice",
    "no right to list and watch ResourceSlices: none is published (daemonset/components/dra)",
)


class Present(NamedTuple):
    """A slice at the API server."""

    version: str
    """Its resource version."""
    generation: int
    """The generation of its pool."""
    content: bytes
    """What it says, without generation and without what the API server adds."""


def followed(node: str, driver: str) -> Collection[Present]:
    """The slices of a driver on a node."""
    return Collection(COLLECTION, read, _WORDS, fields=f"spec.nodeName={node},spec.driver={driver}")


def read(item: msgspec.Raw) -> Read[Present]:
    """One object.

    Raises:
        ParseError: it is no ResourceSlice.
    """
    found = DOCUMENT.read(item)
    metadata = found.metadata
    present = Present(metadata.resource_version, found.spec.pool.generation, _content(found))
    return Read(metadata.name, metadata.resource_version, present)


def content(document: dict[str, Any]) -> bytes:
    """What a slice that is to be written says, to compare with what stands."""
    return _content(msgspec.convert(document, Document))


def _content(found: Document) -> bytes:
    spec = found.spec
    return msgspec.json.encode(changed(spec, pool=changed(spec.pool, generation=0)), order="deterministic")


def create(client: Client, document: dict[str, Any]) -> None:
    """A new slice, owned by its Node.

    Raises:
        ApiError: it was not written: ``NotFound`` if there is no such Node, ``Conflict`` if it is there already.
        ParseError: the API server's answer about the Node is none.
    """
    client.create(COLLECTION, _owned(client, document, 1, {}))


def replace(client: Client, document: dict[str, Any], present: Present) -> None:
    """The slice instead of the one that stands, in one step, as the pool's next generation.

    Raises:
        ApiError: it was not written: ``Conflict`` if another one stands by now.
        ParseError: as ``create``.
    """
    metadata = {"resourceVersion": present.version}
    path = _path(document["metadata"]["name"])
    client.replace(path, _owned(client, document, present.generation + 1, metadata))


def delete(client: Client, name: str) -> None:
    """No such slice; one that is gone already is no error.

    Raises:
        ApiError: it is still there.
    """
    try:
        client.delete(_path(name))
    except NotFound:
        return


def names(client: Client, driver: str, node: str | None) -> list[str]:
    """The slices of a driver: on one node, or on all.

    Raises:
        ApiError: they can't be listed.
        ParseError: one is none.
    """
    fields = f"spec.driver={driver}" + (f",spec.nodeName={node}" if node else "")
    return [read(item).name for page in client.pages(COLLECTION, fields=fields) for item in page.items]


def _owned(client: Client, document: dict[str, Any], generation: int, metadata: dict[str, str]) -> bytes:
    """With its Node as owner, so that it goes with it; read now, since a Node of the same name may be another one."""
    spec = document["spec"]
    node = spec["nodeName"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": node, "uid": node_uid(client, node)}
    return msgspec.json.encode(
        {
            **document,
            "metadata": {**document["metadata"], **metadata, "ownerReferences": [owner]},
            "spec": {**spec, "pool": {**spec["pool"], "generation": generation}},
        }
    )


def _path(name: str) -> str:
    return f"{COLLECTION}/{quote(name, safe='')}"
