"""Nodes, as far as they decide whether a pod can go there, followed at the API server.

Nothing of a Node has a limit here that leaves it out: one that is not there counts as gone.
"""

from collections.abc import Callable
from itertools import islice
from typing import Final

import msgspec

from nvtopo.gangs.node_states import NodeState, Taint
from nvtopo.kube.client import Client
from nvtopo.kube.following import FORBIDDEN_SECONDS, Changed, Collection, Following, Listed, Read, Words
from nvtopo.kube.timestamps import unix
from nvtopo.runtime.backoff import Backoff
from nvtopo.wire.documents import Json

#: Of one node; a taint more is kube-scheduler's to see.
_MOST: Final = 256
_KEEP_AWAY: Final = ("NoSchedule", "NoExecute")
_WORDS: Final = Words(
    "the Nodes",
    "a Node",
    "no right to list and watch Nodes: gangs are placed on cordoned nodes too, and pods wait for nodes that are lost"
    " (daemonset/components/gangs)",
)
StateEvent = Listed[NodeState] | Changed[NodeState]


class _Metadata(msgspec.Struct, rename="camel"):
    name: str = ""
    resource_version: str = ""


class _Taint(msgspec.Struct):
    key: str = ""
    value: str = ""
    effect: str = ""


class _Spec(msgspec.Struct):
    unschedulable: bool | None = None
    taints: list[_Taint] | None = None


class _Condition(msgspec.Struct, rename="camel"):
    type: str = ""
    status: str = ""
    last_transition_time: str | None = None


class _Status(msgspec.Struct):
    conditions: list[_Condition] | None = None


class _Node(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


_NODE: Final = Json(_Node, "a Node")


def read(item: bytes | msgspec.Raw) -> Read[NodeState]:
    """One object.

    Raises:
        ParseError: it is no Node.
    """
    node = _NODE.read(item)
    taints = islice((one for one in node.spec.taints or () if one.effect in _KEEP_AWAY), _MOST)
    ready = next((one for one in node.status.conditions or () if one.type == "Ready"), None)
    state = NodeState(
        ready=None if ready is None else ready.status == "True",
        since=None if ready is None else unix(ready.last_transition_time or "") or None,
        cordoned=bool(node.spec.unschedulable),
        taints=tuple(Taint(one.key, one.value, one.effect) for one in taints),
    )
    return Read(node.metadata.name, node.metadata.resource_version, state)


FOLLOWED: Final = Collection("/api/v1/nodes", read, _WORDS)


class Nodes(Following[NodeState]):
    """All Nodes, followed."""

    def __init__(
        self, client: Client, *, backoff: Callable[[], Backoff] = Backoff, forbidden_seconds: float = FORBIDDEN_SECONDS
    ) -> None:
        super().__init__(client, FOLLOWED, backoff=backoff, forbidden_seconds=forbidden_seconds)
