"""The labels of Nodes that say where they are, followed at the API server: names and those labels, and nothing else.

The API server sends metadata only (``PartialObjectMetadata``), and of the labels only those are kept that the caller
asks for: a node of a cloud has a hundred others.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from nvtopo.kube.client import Client
from nvtopo.kube.following import FORBIDDEN_SECONDS, Changed, Collection, Following, Listed, Read, Words
from nvtopo.runtime.backoff import Backoff
from nvtopo.wire.documents import Json

_ACCEPT: Final = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1, application/json"
#: Of one node; labels that are kept are fewer than those it has.
_MOST_LABELS: Final = 256
_LONGEST: Final = 512
_WORDS: Final = Words(
    "the labels of the Nodes",
    "a Node",
    "no right to list and watch Nodes: their labels say nothing (daemonset/components/node-labels)",
)

Labels = Mapping[str, str]
LabelEvent = Listed[Labels] | Changed[Labels]
"""The kept labels of all nodes, or of one; None for a node that is gone."""


class _Metadata(msgspec.Struct, rename="camel"):
    name: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None


class _Node(msgspec.Struct):
    metadata: _Metadata


_NODE: Final = Json(_Node, "a Node's metadata")


class NodeLabels(Following[Labels]):
    """The Nodes' labels, as far as ``keeps`` says that a label is of interest."""

    def __init__(
        self,
        client: Client,
        keeps: Callable[[str], bool],
        *,
        backoff: Callable[[], Backoff] = Backoff,
        forbidden_seconds: float = FORBIDDEN_SECONDS,
    ) -> None:
        def read(item: msgspec.Raw) -> Read[Labels]:
            node = _NODE.read(item).metadata
            kept = ((key, value) for key, value in sorted((node.labels or {}).items()) if keeps(key))
            short = [(key, value) for key, value in kept if len(key) <= _LONGEST and len(value) <= _LONGEST]
            return Read(node.name, node.resource_version, dict(short[:_MOST_LABELS]))

        collection = Collection("/api/v1/nodes", read, _WORDS, _ACCEPT.format("List"), _ACCEPT.format(""))
        super().__init__(client, collection, backoff=backoff, forbidden_seconds=forbidden_seconds)
