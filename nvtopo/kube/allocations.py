"""NodeAllocations at the API server: written by each node's agent, followed by the aggregator.

One for each node and named as it, cluster-scoped, beside the NodeTopology: pods come and go far more often than
hardware does, so who holds what is an object of its own.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import quote

import msgspec

from nvtopo.errors import ParseError
from nvtopo.kube import v1alpha1
from nvtopo.kube.client import Client
from nvtopo.kube.following import FORBIDDEN_SECONDS, Changed, Collection, Following, Listed, Read, Words
from nvtopo.kube.node_uid import node_uid
from nvtopo.kube.topology_writer import AGENT
from nvtopo.model.records.allocation import Allocation
from nvtopo.model.records.record import Record
from nvtopo.runtime.backoff import Backoff
from nvtopo.wire.documents import Json, one_line

KIND: Final = "NodeAllocation"
PLURAL: Final = "nodeallocations"
SINGULAR: Final = "nodeallocation"
SHORT_NAME: Final = "nalloc"
COLLECTION: Final = f"/apis/{v1alpha1.API_VERSION}/{PLURAL}"
_LARGEST_BYTES: Final = 256 << 10
_WORDS: Final = Words(
    "the NodeAllocations",
    "a NodeAllocation",
    "no right to list and watch NodeAllocations: no node counts as free (daemonset/components/allocations)",
)

AllocationEvent = Listed[Allocation] | Changed[Allocation]


class _Document(Record, frozen=True, kw_only=True):
    api_version: str
    kind: str
    metadata: v1alpha1.Metadata
    spec: Allocation


class _Object(Record, frozen=True, kw_only=True):
    spec: Allocation


_HEAD: Final = Json(v1alpha1.Head, "an object with metadata")
_OBJECT: Final = Json(_Object, "a NodeAllocation")


def path(name: str) -> str:
    """An object's path at the API server."""
    return f"{COLLECTION}/{quote(name, safe='')}"


def document(name: str, allocation: Allocation, node_uid: str) -> bytes:
    """The agent's document; the object goes with the Node that has this ``uid``."""
    owner = v1alpha1.OwnerReference(api_version="v1", kind="Node", name=name, uid=node_uid)
    metadata = v1alpha1.Metadata(name=name, owner_references=(owner,))
    written = _Document(api_version=v1alpha1.API_VERSION, kind=KIND, metadata=metadata, spec=allocation)
    return msgspec.json.encode(written, order="deterministic")


def apply(client: Client, name: str, allocation: Allocation) -> None:
    """Server-side apply, owned by the Node of that name.

    Raises:
        ApiError: it was not written: ``NotFound`` if there is no such Node, or the CRD is not installed.
    """
    client.apply(path(name), document(name, allocation, node_uid(client, name)), manager=AGENT)


def read(item: msgspec.Raw) -> Read[Allocation]:
    """One object; of one that can't be used it is known that nothing is known.

    Raises:
        ParseError: not even its name can be read.
    """
    metadata = _HEAD.read(item).metadata
    size = memoryview(item).nbytes
    if size > _LARGEST_BYTES:
        found = Allocation(containers=(), unknown=f"expected an object of at most {_LARGEST_BYTES} bytes, got {size}")
        return Read(metadata.name, metadata.resource_version, found)
    try:
        found = _OBJECT.read(item).spec
    except ParseError as error:
        found = Allocation(containers=(), unknown=one_line(str(error)))
    return Read(metadata.name, metadata.resource_version, found)


FOLLOWED: Final = Collection(COLLECTION, read, _WORDS)


class Allocations:
    """All NodeAllocations, followed."""

    def __init__(
        self,
        client: Client,
        *,
        backoff: Callable[[], Backoff] = Backoff,
        forbidden_seconds: float = FORBIDDEN_SECONDS,
    ) -> None:
        self._following = Following(client, FOLLOWED, backoff=backoff, forbidden_seconds=forbidden_seconds)

    def events(self, stop: threading.Event) -> Iterator[AllocationEvent]:
        """``Listed`` first and after each loss, then what happens, until ``stop`` is set."""
        return self._following.events(stop)


def listed(client: Client) -> dict[str, Allocation]:
    """All of them now.

    Raises:
        ApiError: they can't be listed: ``NotFound`` where the CRD is not installed.
    """
    items = (item for page in client.pages(COLLECTION) for item in page.items)
    return {one.name: one.value for one in map(read, items)}
