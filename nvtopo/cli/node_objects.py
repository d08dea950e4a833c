"""Nodes and NetworkAttachmentDefinitions, from a file that ``kubectl get -o json`` (or ``-o yaml``) wrote."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from nvtopo.checks.check import NodeLabels
from nvtopo.cli import network_objects
from nvtopo.errors import ParseError
from nvtopo.model.records.record import Name
from nvtopo.sources.capture import read_input
from nvtopo.wire import yaml
from nvtopo.wire.documents import Json

T = TypeVar("T")

_EXPECTED: Final = "Nodes, as `kubectl get nodes -o json` prints them"
_MOST_NODES: Final = 100_000


class _Metadata(msgspec.Struct):
    name: Name
    namespace: Name = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Condition(msgspec.Struct):
    type: str = ""
    status: str = ""


class _Status(msgspec.Struct):
    allocatable: dict[str, str] | None = None
    capacity: dict[str, str] | None = None
    conditions: list[_Condition] | None = None

    def ready(self) -> str | None:
        return next((one.status for one in self.conditions or () if one.type == "Ready"), None)


class _Node(msgspec.Struct):
    kind: str = ""
    metadata: _Metadata | None = None
    status: _Status | None = None
    spec: Any = None


class _Nodes(msgspec.Struct):
    kind: str
    items: Annotated[list[_Node], Meta(max_length=_MOST_NODES)] | None = None


def nodes_in(file: Path) -> Mapping[str, NodeLabels]:
    """Node → its labels and resources, and the networks that stand beside the Nodes.

    Raises:
        ReadError: the file can't be read.
        ParseError: it holds no Node.
    """
    return parse(read_input(file), str(file))


def parse(content: bytes, file: str) -> Mapping[str, NodeLabels]:
    """As ``nodes_in``, of what the file holds."""
    listed = _read(content, _Nodes, file)
    nodes = listed.items if listed.items is not None else [_read(content, _Node, file)]
    networks = tuple(
        network_objects.network_of(
            f"{one.metadata.namespace}/{one.metadata.name}", one.metadata.annotations or {}, one.spec
        )
        for one in nodes
        if one.metadata is not None and one.kind == network_objects.KIND
    )
    found = {
        node.metadata.name: NodeLabels(
            node.metadata.labels or {},
            node.status.allocatable if node.status else None,
            node.status.capacity if node.status else None,
            networks,
            isinstance(node.spec, dict) and node.spec.get("unschedulable") is True,
            node.status.ready() if node.status else None,
        )
        for node in nodes
        if node.metadata is not None and node.kind in ("Node", "")
    }
    if not found or (listed.items is None and listed.kind != "Node"):
        raise ParseError(f"{file}: expected {_EXPECTED}, found none (kind {listed.kind[:40]!r})")
    return found


def _read(content: bytes, kind: type[T], file: str) -> T:
    if content.lstrip()[:1] == b"{":
        return Json(kind, _EXPECTED).read(content, file)
    return yaml.read(content, kind, _EXPECTED, file, limits=yaml.MANY)
