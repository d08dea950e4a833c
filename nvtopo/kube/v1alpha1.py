"""``nvtopo.io/v1alpha1``: what surrounds a ``NodeTopology`` when it is an object of the API server.

Two documents are written and one is read, because there are two writers: the agent applies ``metadata`` and ``spec``,
the aggregator applies ``status``. Here is what the agent needs; ``v1alpha1_status`` has the status, and both as readers
get them.
"""

from typing import Final
from urllib.parse import quote

import msgspec

from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.record import Record
from nvtopo.model.records.spec import Spec, compact

GROUP: Final = "nvtopo.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "NodeTopology"
PLURAL: Final = "nodetopologies"
SINGULAR: Final = "nodetopology"
SHORT_NAME: Final = "ntopo"
COLLECTION: Final = f"/apis/{API_VERSION}/{PLURAL}"
"""The collection's path at the API server; cluster-scoped, one object for each node and named as it."""


def path(name: str) -> str:
    """An object's path at the API server."""
    return f"{COLLECTION}/{quote(name, safe='')}"


class OwnerReference(Record, frozen=True, kw_only=True):
    """The owner of an object: the garbage collector deletes the object once its owner is gone."""

    api_version: str
    kind: str
    name: str
    uid: str


class Metadata(Record, frozen=True, kw_only=True):
    """What we write and read of ``metadata``."""

    name: str = ""
    """Empty in a bookmark only."""
    uid: str = ""
    resource_version: str = ""
    """The object's place in the history of the collection; opaque."""
    generation: int = 0
    """Counts the changes of ``spec``; a change of ``status`` leaves it alone."""
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()
    """What keeps a deleted object there; none is ours."""

    @property
    def goes_with_its_node(self) -> bool:
        """Whether its one owner is the Node of its name and nothing else holds it."""
        owners = [(owner.api_version, owner.kind, owner.name) for owner in self.owner_references]
        return owners == [("v1", "Node", self.name)] and not self.finalizers


class Head(Record, frozen=True, kw_only=True):
    """As much of any object as is read before its content is trusted."""

    metadata: Metadata


class SpecDocument(Record, frozen=True, kw_only=True):
    """What an agent applies."""

    api_version: str
    kind: str
    metadata: Metadata
    spec: Spec


def spec_document(name: str, topology: NodeTopology, node_uid: str) -> bytes:
    """The agent's document; the object goes with the Node that has this ``uid``."""
    owner = OwnerReference(api_version="v1", kind="Node", name=name, uid=node_uid)
    metadata = Metadata(name=name, owner_references=(owner,))
    document = SpecDocument(api_version=API_VERSION, kind=KIND, metadata=metadata, spec=compact(topology))
    return msgspec.json.encode(document, order="deterministic")
