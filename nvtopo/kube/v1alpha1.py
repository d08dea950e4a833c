"""``nvtopo.io/v1alpha1``: what surrounds a ``NodeTopology`` when it is an object of the API server.

Two documents are written and one is read, because there are two writers: the agent applies ``metadata`` and ``spec``,
the aggregator applies ``status``. Whoever reads sees both in ``Envelope``.
"""

from typing import Final, Literal
from urllib.parse import quote

import msgspec

from nvtopo.model.facts import Count
from nvtopo.model.node import NodeTopology
from nvtopo.model.record import Record
from nvtopo.model.spec import Spec, folded

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
    """Whom an object goes with: the garbage collector deletes it once no object has this ``uid``."""

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
    """Where in the history of the whole collection this is; opaque."""
    generation: int = 0
    """Counts the changes of ``spec``; a change of ``status`` leaves it alone."""
    owner_references: tuple[OwnerReference, ...] = ()


class Condition(Record, frozen=True, kw_only=True):
    """One condition, by the conventions of the Kubernetes API."""

    type: str
    """CamelCase, one of a kind within its object."""
    status: Literal["True", "False", "Unknown"]
    """``True``, ``False`` or ``Unknown``."""
    reason: str = ""
    """One CamelCase word for programs."""
    message: str = ""
    """A sentence for people."""
    last_transition_time: str = ""
    """RFC 3339, when ``status`` last changed."""
    observed_generation: int = 0
    """The ``metadata.generation`` that this was concluded from."""


class Status(Record, frozen=True, kw_only=True):
    """What the aggregator concluded of this node among the others."""

    gpus: Count | None = None
    """How many GPUs the node has; absent where its object can't be read."""
    nics: Count | None = None
    """How many NICs; absent likewise."""
    domain: str | None = None
    """NVLink domain, ``<clusterUUID>.<cliqueID>``; absent where the node is in none."""
    conditions: tuple[Condition, ...] = ()
    """``Ready``: whether a job can use all that the node has."""


class Head(Record, frozen=True, kw_only=True):
    """As much of any object as is read before its content is trusted."""

    metadata: Metadata


class Envelope(Record, frozen=True, kw_only=True):
    """A NodeTopology object as it is read."""

    metadata: Metadata
    spec: Spec
    status: Status = Status()


class SpecDocument(Record, frozen=True, kw_only=True):
    """What an agent applies."""

    api_version: str
    kind: str
    metadata: Metadata
    spec: Spec


class StatusDocument(Record, frozen=True, kw_only=True):
    """What the aggregator applies."""

    api_version: str
    kind: str
    metadata: Metadata
    status: Status


def spec_document(name: str, topology: NodeTopology, node_uid: str) -> bytes:
    """The agent's document; the object goes with the Node that has this ``uid``."""
    owner = OwnerReference(api_version="v1", kind="Node", name=name, uid=node_uid)
    metadata = Metadata(name=name, owner_references=(owner,))
    document = SpecDocument(api_version=API_VERSION, kind=KIND, metadata=metadata, spec=folded(topology))
    return msgspec.json.encode(document, order="deterministic")


def status_document(name: str, status: Status) -> bytes:
    """The aggregator's document."""
    document = StatusDocument(api_version=API_VERSION, kind=KIND, metadata=Metadata(name=name), status=status)
    return msgspec.json.encode(document, order="deterministic")
