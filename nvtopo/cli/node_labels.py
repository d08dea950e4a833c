"""Labels of Node objects, from the API server or a file, and selectors of equality over them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from nvtopo.errors import UsageError

_LARGEST_BYTES: Final = 256 << 20
_NODES: Final = "/api/v1/nodes"


class Term(NamedTuple):
    """One part of a selector."""

    key: str
    value: str | None
    """None: the label is there, whatever its value."""
    negated: bool = False


class _Metadata(msgspec.Struct):
    name: str = ""
    labels: dict[str, str] = {}


class _Node(msgspec.Struct):
    metadata: _Metadata


class _Nodes(msgspec.Struct):
    items: list[_Node]


def parse(selector: str) -> tuple[Term, ...]:
    """``a=b,c!=d,e,!f``: all must hold.

    Raises:
        UsageError: it is none.
    """
    terms = tuple(_term(part.strip()) for part in selector.split(","))
    if not all(term.key and " " not in term.key for term in terms):
        raise UsageError(f"--selector: expected labels such as canary=true, got {selector!r}")
    return terms


def _term(part: str) -> Term:
    for sign, negated in (("!=", True), ("==", False), ("=", False)):
        key, found, value = part.partition(sign)
        if found:
            return Term(key.strip(), value.strip(), negated)
    return Term(part.lstrip("!"), None, part.startswith("!"))


def matches(labels: Mapping[str, str], terms: Iterable[Term]) -> bool:
    """Whether a node with these labels is selected."""
    return all(_holds(labels, term) for term in terms)


def _holds(labels: Mapping[str, str], term: Term) -> bool:
    found = term.key in labels if term.value is None else labels.get(term.key) == term.value
    return found != term.negated


def of_file(path: Path) -> dict[str, dict[str, str]]:
    """Node → its labels, from a list of Node objects.

    Raises:
        ReadError: the file can't be read.
        ParseError: it is no such list.
    """
    from nvtopo.wire.documents import Json
    from nvtopo.wire.files import read_file

    listed = Json(_Nodes, "a list of Node objects", most_bytes=_LARGEST_BYTES)
    nodes = listed.read(read_file(path, _LARGEST_BYTES), str(path)).items
    return {node.metadata.name: node.metadata.labels for node in nodes}


def of_cluster(kubeconfig: Path | None) -> dict[str, dict[str, str]]:
    """Node → its labels, from the API server.

    Raises:
        ApiError: the caller may not list Nodes, or the server does not answer.
    """
    from nvtopo.kube.client import connect
    from nvtopo.wire.documents import Json

    node = Json(_Node, "a Node object")
    with connect(kubeconfig) as client:
        found = [node.read(item).metadata for page in client.pages(_NODES) for item in page.items]
    return {metadata.name: metadata.labels for metadata in found}
