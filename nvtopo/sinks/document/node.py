"""A node as a document: ``{"spec": …, "derived": …}`` in JSON or YAML, and a snapshot as a capture."""

import msgspec

from nvtopo.model.conclusions.derive import Derived
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.model.records.spec import Spec, compact
from nvtopo.sinks.document import derived as derived_document
from nvtopo.sinks.document.derived import DerivedDocument


class _Document(msgspec.Struct, frozen=True):
    spec: Spec
    derived: DerivedDocument


def node_json(node: NodeTopology, derived: Derived) -> bytes:
    """The node's facts and conclusions as indented JSON."""
    return _indented(_Document(compact(node), derived_document.of(derived)))


def node_yaml(node: NodeTopology, derived: Derived) -> str:
    """The same document as YAML."""
    from nvtopo.model.formats import yaml

    document = _Document(compact(node), derived_document.of(derived))
    encoded = msgspec.json.encode(document, order="deterministic")
    return yaml.text_of(msgspec.json.decode(encoded))  # noqa: TID251 - our own, this very moment


def capture_json(snapshot: Snapshot) -> bytes:
    """The snapshot as a capture file."""
    return _indented(snapshot)


def _indented(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=2) + b"\n"
