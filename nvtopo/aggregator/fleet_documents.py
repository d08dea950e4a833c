"""NodeTopologies in a file: as kubectl prints one or many, or as ``nvtopo dump`` does, in JSON or YAML."""

import importlib.util
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from nvtopo.errors import ParseError
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.spec import Spec, expand
from nvtopo.wire import yaml
from nvtopo.wire.documents import ANY, reason

_KIND: Final = "NodeTopology"
_SHORTEST_MARKS: Final = (b'"spec"', b"\nspec:", b"\n  spec:", b"NodeTopologyList")


_NODES: Final = re.compile(rb'kind"?:\s*"?Node"?[\s,}]')


class Resources(NamedTuple):
    """The nodes of a file, and those whose object does not match the schema."""

    nodes: Mapping[str, NodeTopology]
    unreadable: Mapping[str, str]


def resources_in(content: bytes, name: str, source: str) -> Resources | None:
    """The nodes; None if the content is no NodeTopology. ``name`` is the node's if the document names none.

    Raises:
        ParseError: it is a NodeTopology and can't be read.
    """
    if not any(mark in b"\n" + content for mark in _SHORTEST_MARKS):
        return None
    nodes: dict[str, NodeTopology] = {}
    unreadable: dict[str, str] = {}
    documents = list(_documents(content, source))
    for at, document in enumerate(item for one in documents for item in _items(one)):
        called = _name(document) or (name if not at else f"{name}-{at + 1}")
        try:
            nodes[called] = expand(msgspec.convert(document["spec"], type=Spec))
        except (ValueError, KeyError) as error:
            unreadable[called] = f"expected a NodeTopology: {reason(error)}"
    if unreadable and not nodes:
        raise ParseError(f"{source}: {next(iter(unreadable.values()))}")
    return Resources(nodes, unreadable) if nodes else None


def may_hold_nodes(content: bytes) -> bool:
    """Whether a list of resources may hold Nodes of Kubernetes as well."""
    return b"Node" in content and _NODES.search(content) is not None


def _documents(content: bytes, source: str) -> Iterator[Any]:
    if content.lstrip()[:1] in (b"{", b"["):
        yield ANY.read(content, source)
        return
    if importlib.util.find_spec("yaml") is None:
        raise ParseError(f"{source}: {yaml.NEEDED}")
    try:
        yield yaml.read(content, object, "NodeTopologies", source, limits=yaml.MANY)
    except ParseError:  # YAML of something else, or text
        return


def _items(document: Any) -> Iterator[dict[str, Any]]:
    """The NodeTopologies of a document, which may be a list of them."""
    if not isinstance(document, dict):
        return
    items = document.get("items")
    for item in items if isinstance(items, list) else [document]:
        if isinstance(item, dict) and "spec" in item and item.get("kind", _KIND) == _KIND:
            yield item


def _name(document: dict[str, Any]) -> str:
    metadata = document.get("metadata")
    named = metadata.get("name") if isinstance(metadata, dict) else None
    if isinstance(named, str) and named:
        return named
    spec = document["spec"]
    host = spec.get("host") if isinstance(spec, dict) else None
    name = host.get("name") if isinstance(host, dict) else None
    return name if isinstance(name, str) else ""
