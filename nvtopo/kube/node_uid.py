"""The ``uid`` of a Node: what an owner reference and an Event name beside the Node's name."""

from typing import Final
from urllib.parse import quote

from nvtopo.kube.client import Client
from nvtopo.kube.v1alpha1 import Head
from nvtopo.wire.documents import Json

_NODES: Final = "/api/v1/nodes"
_HEAD: Final = Json(Head, "an object with metadata")


def node_uid(client: Client, node: str) -> str:
    """The Node's uid, read now. A recreated Node has another.

    Raises:
        ApiError: it was not read: ``NotFound`` if there is no such Node.
        ParseError: the answer is no object.
    """
    path = f"{_NODES}/{quote(node, safe='')}"
    return _HEAD.read(client.get(path), f"GET {path}").metadata.uid
