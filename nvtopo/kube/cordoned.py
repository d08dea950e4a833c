"""Which Nodes are cordoned, by the API server's own selection: nobody else's Node is read."""

from typing import Final

from nvtopo.errors import ParseError
from nvtopo.kube.client import Client
from nvtopo.kube.v1alpha1 import Head
from nvtopo.wire.documents import Json

_NODES: Final = "/api/v1/nodes"
_HEAD: Final = Json(Head, "a Node")


def look(client: Client) -> tuple[frozenset[str], str]:
    """Their names, and why one of them can't be read; empty if all can.

    Raises:
        ApiError: they can't be listed.
        ParseError: the answer is no list of Nodes.
    """
    names, reason = set[str](), ""
    for page in client.pages(_NODES, fields="spec.unschedulable=true"):
        for item in page.items:
            try:
                names.add(_HEAD.read(item).metadata.name)
            except ParseError as error:
                reason = reason or str(error)
    return frozenset(names), reason
