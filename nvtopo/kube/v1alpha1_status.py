"""``nvtopo.io/v1alpha1``: the ``status`` of a ``NodeTopology``, which the aggregator writes, and the whole object."""

from hashlib import blake2b
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from nvtopo.cluster.history import History
from nvtopo.cluster.records import Claims, Identifiers, NodeRecord
from nvtopo.kube.v1alpha1 import API_VERSION, KIND, Metadata
from nvtopo.model.records.record import Count, Name, Record, ShortWord, Text
from nvtopo.model.records.spec import Spec
from nvtopo.model.records.standing import Standing


class Condition(Record, frozen=True, kw_only=True):
    """One condition, by the conventions of the Kubernetes API."""

    type: Name
    """CamelCase, one of a kind within its object."""
    status: Literal["True", "False", "Unknown"]
    """``True``, ``False`` or ``Unknown``."""
    reason: Name = ""
    """One CamelCase word for programs."""
    message: Text = ""
    """A sentence for people."""
    last_transition_time: ShortWord = ""
    """RFC 3339, when ``status`` last changed."""
    observed_generation: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0
    """The ``metadata.generation`` that the condition describes."""


class Status(Record, frozen=True, kw_only=True):
    """The aggregator's conclusions about the node."""

    gpus: Count | None = None
    """Number of the node's GPUs; absent if its object can't be read."""
    nics: Count | None = None
    """Number of the node's NICs; absent if its object can't be read."""
    domain: Name | None = None
    """NVLink domain, ``<clusterUUID>.<cliqueID>``; absent if the node is in none."""
    conditions: Annotated[tuple[Condition, ...], Meta(max_length=8)] = ()
    """``Ready``: whether a job can use all that the node has. ``Drift``, only while the node is otherwise than is
    expected of its shape."""
    expected: Standing | None = None
    """What the node should have, if no file of the operator's says otherwise."""
    claims: Claims = ()
    """What the node claims for itself, oldest first: who came first is right when another node claims the same."""
    identifiers: Identifiers = ()
    """The numbers of its domains, in physical order, zero-padded where they are shown; they never change."""

    history: History = ()
    """What changed on the node, oldest first; older entries are left off."""

    @property
    def kept(self) -> "Kept":
        """What outlives the aggregator."""
        return Kept(claims=self.claims, identifiers=self.identifiers, history=self.history)

    @property
    def record(self) -> NodeRecord:
        """What of it a graph is made of."""
        return NodeRecord(claims=self.claims, identifiers=self.identifiers)


class Written(Record, frozen=True, kw_only=True):
    """An object of which nothing but ``status`` matters."""

    status: Status = Status()


class Kept(Record, frozen=True, kw_only=True):
    """As much of ``status`` as outlives the aggregator."""

    claims: Claims = ()
    identifiers: Identifiers = ()
    history: History = ()

    @property
    def record(self) -> NodeRecord:
        """What of it a graph is made of."""
        return NodeRecord(claims=self.claims, identifiers=self.identifiers)


class Memory(Record, frozen=True, kw_only=True):
    """An object of which nothing but what is kept matters."""

    status: Kept = Kept()


class Envelope(Record, frozen=True, kw_only=True):
    """A NodeTopology object as it is read."""

    metadata: Metadata
    spec: Spec
    status: Status = Status()


class StatusDocument(Record, frozen=True, kw_only=True):
    """What the aggregator applies."""

    api_version: str
    kind: str
    metadata: Metadata
    status: Status


def digest(status: Status) -> bytes:
    """Tells one status from another in 16 bytes."""
    return blake2b(msgspec.json.encode(status, order="deterministic"), digest_size=16).digest()


def status_document(name: str, status: Status) -> bytes:
    """The aggregator's document."""
    document = StatusDocument(api_version=API_VERSION, kind=KIND, metadata=Metadata(name=name), status=status)
    return msgspec.json.encode(document, order="deterministic")
