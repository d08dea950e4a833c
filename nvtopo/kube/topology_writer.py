"""How a node's agent writes its NodeTopology. It reads none, so it holds nothing of the cluster in memory."""

from typing import Final, Protocol

from nvtopo.kube import v1alpha1
from nvtopo.kube.client import Client, Response
from nvtopo.kube.node_uid import node_uid
from nvtopo.kube.standing import standing_in
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.standing import Standing

AGENT: Final = "nvtopo-agent"
"""Field manager of ``metadata`` and ``spec``."""

_CREATED: Final = 201


class TopologyWriter(Protocol):
    """Where an agent writes its topology."""

    def apply(self, name: str, topology: NodeTopology) -> Standing | None:
        """Writes a node's topology; an equal one that is there already changes nothing and is no event.

        The answer is what the aggregator says of the node; None if it says nothing.

        Raises:
            ApiError: it was not written.
        """


class KubeTopologyWriter:
    """The API server. Usable from several threads at once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._node_uids: dict[str, str] = {}

    def apply(self, name: str, topology: NodeTopology) -> Standing | None:
        """Server-side apply, owned by the Node of that name, so that it goes with the Node.

        The Node's uid is read once. When this creates the object although a uid was known, the object was collected as
        garbage: the Node of that uid is gone, and maybe another one has its name.

        Raises:
            NotFound: no such Node, or the CRD is not installed.
        """
        known = self._node_uids.get(name)
        uid = known or self._node_uid(name)
        answer = self._apply(name, topology, uid)
        if answer.status == _CREATED and known is not None:
            current = self._node_uid(name)
            if current != uid:
                answer = self._apply(name, topology, current)
        return standing_in(answer.body)

    def _apply(self, name: str, topology: NodeTopology, uid: str) -> Response:
        document = v1alpha1.spec_document(name, topology, uid)
        return self._client.apply(v1alpha1.path(name), document, manager=AGENT)

    def _node_uid(self, name: str) -> str:
        self._node_uids.pop(name, None)
        uid = self._node_uids[name] = node_uid(self._client, name)
        return uid
