"""What the API server has of a node's labels: the NodeTopology, NFD's NodeFeature objects and the Node."""

from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec

from nvtopo.checks.label_path import NotSeen, ObjectSeen
from nvtopo.errors import ApiError, Forbidden, NotFound, ParseError, UsageError
from nvtopo.kube.client import Client
from nvtopo.kube.v1alpha1 import path as topology_path
from nvtopo.wire.documents import Json

NODE_FEATURES: Final = "/apis/nfd.k8s-sigs.io/v1alpha1/nodefeatures"
_NODE_NAME: Final = "nfd.node.kubernetes.io/node-name"
_MOST_OBJECTS: Final = 32


class _Metadata(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    labels: dict[str, str] | None = None


class _Node(msgspec.Struct):
    metadata: _Metadata


class _Spec(msgspec.Struct):
    labels: dict[str, str] | None = None


class _NodeFeature(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)


_NODE: Final = Json(_Node, "a Node")
_NODE_FEATURE: Final = Json(_NodeFeature, "a NodeFeature")


class Kept(NamedTuple):
    """What of a node the API server has; what could not be read says why."""

    topology: bytes | NotSeen
    """The NodeTopology as it came."""
    objects: tuple[ObjectSeen, ...] | NotSeen
    node: dict[str, str] | NotSeen


def read(client: Client, node: str) -> Kept:
    """All three; a right that is missing costs its part only.

    Raises:
        UsageError: the cluster has no such Node.
        ApiError: the API server does not answer.
    """
    labels = _labels(client, node)
    return Kept(_topology(client, node), _objects(client, node), labels)


def _labels(client: Client, node: str) -> dict[str, str] | NotSeen:
    path = f"/api/v1/nodes/{quote(node, safe='')}"
    try:
        return _NODE.read(client.get(path), path).metadata.labels or {}
    except NotFound as error:
        raise UsageError(f"why: the cluster has no Node {node}") from error
    except (ApiError, ParseError) as error:
        return _not_seen(error)


def _topology(client: Client, node: str) -> bytes | NotSeen:
    try:
        return client.get(topology_path(node))
    except NotFound:
        return NotSeen("the node has no NodeTopology: no agent runs there, or it may not write (its log says so)")
    except ApiError as error:
        return _not_seen(error)


def _objects(client: Client, node: str) -> tuple[ObjectSeen, ...] | NotSeen:
    found: list[ObjectSeen] = []
    try:
        for page in client.pages(NODE_FEATURES, selector=f"{_NODE_NAME}={node}"):
            for item in page.items:
                one = _NODE_FEATURE.read(item, "a NodeFeature")
                name = f"{one.metadata.namespace}/{one.metadata.name}"
                found.append(ObjectSeen(name, one.spec.labels or {}))
    except NotFound:
        return NotSeen("the cluster has no NodeFeature objects: Node Feature Discovery is not installed")
    except (ApiError, ParseError) as error:
        return _not_seen(error)
    return tuple(found[:_MOST_OBJECTS])


def _not_seen(error: ApiError | ParseError) -> NotSeen:
    """Raises again what no part of the answer can be had with."""
    if isinstance(error, ApiError) and not isinstance(error, Forbidden):
        raise error
    return NotSeen(str(error))
