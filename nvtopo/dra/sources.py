"""What the driver follows at the API server: its own node's NodeTopology, and no other."""

from typing import Final

import msgspec

from nvtopo.errors import ParseError
from nvtopo.kube.following import Collection, Read, Words
from nvtopo.kube.v1alpha1 import COLLECTION
from nvtopo.kube.v1alpha1_status import Envelope
from nvtopo.model.formats.limits import LARGEST_OBJECT_BYTES
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.spec import expand
from nvtopo.wire.documents import Json

_ENVELOPE: Final = Json(Envelope, "a NodeTopology", most_bytes=LARGEST_OBJECT_BYTES)
_WORDS: Final = Words(
    "the NodeTopology of this node",
    "the NodeTopology of this node",
    "no right to follow NodeTopologies: nothing new is published (daemonset/components/dra)",
)


def topology_of(node: str) -> Collection[NodeTopology]:
    """The NodeTopology of one node."""
    return Collection(COLLECTION, _read, _WORDS, fields=f"metadata.name={node}")


def _read(item: msgspec.Raw) -> Read[NodeTopology]:
    """One object.

    Raises:
        ParseError: it can't be read, and is left out.
    """
    found = _ENVELOPE.read(item)
    try:
        topology = expand(found.spec)
    except ValueError as error:
        raise ParseError(f"expected a NodeTopology: {error}") from error
    return Read(found.metadata.name, found.metadata.resource_version, topology)
