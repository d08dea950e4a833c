"""A node as a document: ``{"spec": …, "derived": …}`` in JSON or YAML, and a snapshot as a capture."""

import msgspec

from nvtopo.model.derive import Derived
from nvtopo.model.node import NodeTopology
from nvtopo.model.snapshot import Snapshot
from nvtopo.model.spec import Spec, folded


class _Document(msgspec.Struct, frozen=True):
    spec: Spec
    derived: Derived


def node_json(node: NodeTopology, derived: Derived) -> bytes:
    """The node's facts and conclusions as indented JSON."""
    return _indented(_Document(folded(node), derived))


def node_yaml(node: NodeTopology, derived: Derived) -> str:
    """The same document as YAML."""
    from nvtopo.sinks import yaml

    document = _Document(folded(node), derived)
    return yaml.text_of(msgspec.json.decode(msgspec.json.encode(document, order="deterministic")))


def capture_json(snapshot: Snapshot) -> bytes:
    """The snapshot as a capture file."""
    return _indented(snapshot)


def _indented(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=2) + b"\n"
