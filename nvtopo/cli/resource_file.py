"""A node from a document with a ``spec``: a NodeTopology as kubectl prints it, or a dump, in JSON or YAML."""

import msgspec

from nvtopo.errors import ParseError
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.spec import Spec, expand
from nvtopo.wire import yaml
from nvtopo.wire.documents import Json, one_line, reason

_EXPECTED = "a NodeTopology (`kubectl get ntopo NODE -o json`) or a dump (`nvtopo dump --format json`)"

_KIND = "NodeTopology"


class _Document(msgspec.Struct, frozen=True):
    """The part that resources and dumps have in common."""

    spec: Spec
    kind: str = _KIND


def resource_in(content: bytes, source: str) -> NodeTopology | None:
    """The node; None if the content does not look like a resource.

    Raises:
        ParseError: it looks like a resource and is not one, or it is YAML and PyYAML is not installed.
    """
    if content.lstrip()[:1] == b"{":
        return _node(Json(_Document, _EXPECTED).read(content, source), source) if b'"spec"' in content else None
    # No other tool writes this line without indentation.
    if b"\nspec:" not in b"\n" + content:
        return None
    return _node(yaml.read(content, _Document, _EXPECTED, source), source)


def _node(document: _Document, source: str) -> NodeTopology:
    if document.kind != _KIND:
        raise ParseError(f"{source}: expected {_EXPECTED}, got a {one_line(document.kind)}")
    try:
        return expand(document.spec)
    except ValueError as error:
        raise ParseError(f"{source}: expected {_EXPECTED}: {reason(error)}") from error
