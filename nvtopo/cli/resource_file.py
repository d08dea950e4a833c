"""A node as a document with a ``spec``: a NodeTopology as kubectl prints it, or our own dump, in JSON or YAML."""

import importlib.util
from collections.abc import Callable
from functools import partial

import msgspec

from nvtopo.errors import ParseError
from nvtopo.model.node import NodeTopology
from nvtopo.model.spec import Spec, whole

_EXPECTED = "a NodeTopology (`kubectl get ntopo NODE -o json`) or a dump (`nvtopo dump --format json`)"


class _Document(msgspec.Struct, frozen=True):
    """What resources and dumps have in common."""

    spec: Spec


def resource_in(content: bytes, source: str) -> NodeTopology | None:
    """The node, or None where the content claims to be something else.

    Raises:
        ParseError: it claims to be a resource and is none, or is YAML and there is no PyYAML.
    """
    if content.lstrip()[:1] == b"{":
        return _decoded(partial(msgspec.json.decode, content, type=_Document), source) if b'"spec"' in content else None
    # No other tool's output has such a line at its margin.
    if b"\nspec:" not in b"\n" + content:
        return None
    if importlib.util.find_spec("yaml") is None:
        raise ParseError(f"{source}: YAML needs PyYAML (pip install 'nvtopo[kubernetes]'); JSON does not")
    return _decoded(partial(msgspec.yaml.decode, content, type=_Document), source)


def _decoded(decode: Callable[[], _Document], source: str) -> NodeTopology:
    try:
        return whole(decode().spec)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ParseError(f"{source}: expected {_EXPECTED}: {error}") from error
