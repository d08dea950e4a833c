"""Dynamic Resource Allocation: each NVLink domain as a device, of which only so many gangs get a share at a time.

The device is usable from the nodes that have the domain's label, which Node Feature Discovery writes for the agent. The
scheduler itself counts the shares, so the limit holds whoever makes the claims.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from nvtopo.cluster.claims import NVLINK_DOMAIN
from nvtopo.cluster.nodes import GraphNode
from nvtopo.exporters.document import DomainEntry, GraphDocument
from nvtopo.exporters.schedulers.names import object_name
from nvtopo.exporters.shadows import DRIVER
from nvtopo.model.conclusions import fabric
from nvtopo.model.conclusions.features import PREFIX, is_legal
from nvtopo.model.conclusions.health_kinds import ILL, KINDS

LABEL: Final = f"{PREFIX}nvlink.domain"
"""The node label that the slices select by."""
GANGS: Final = "gangs"
State = Literal["ok", "degraded", "unknown", "incomplete"]


def documents(document: GraphDocument, nodes: Mapping[str, GraphNode], name: str, gangs: int) -> list[dict[str, Any]]:
    """A ResourceSlice for each domain that nodes themselves say they are in; ``gangs`` are admitted to each at once."""
    return [
        _slice(object_name(name, "nvlink-domain", clique), clique, domain, members, gangs)
        for clique, domain in document.domains.items()
        if domain.tier == NVLINK_DOMAIN and is_legal(clique)
        if (members := tuple(_members(clique, domain, nodes)))
    ]


def _members(clique: str, domain: DomainEntry, nodes: Mapping[str, GraphNode]) -> Iterator[GraphNode]:
    """The nodes with the label: a node that others place in the domain has none."""
    for name in domain.nodes:
        node = nodes.get(name)
        if node is not None and node.topology is not None and fabric.domain(node.topology) == clique:
            yield node


def state(domain: DomainEntry, members: tuple[GraphNode, ...]) -> State:
    """The worst that is known of the NVLinks and the fabric of its nodes; then whether all of its trays are there."""
    reasons = (reason for node in members if node.judged is not None for reason in node.judged.reasons)
    levels = {KINDS[reason.code].level for reason in reasons if KINDS[reason.code].nvlink}
    if levels & set(ILL):
        return "degraded"
    if levels & {"unknown", "registering"} or any(node.stale for node in members):
        return "unknown"
    return "incomplete" if domain.silent else "ok"


def _slice(name: str, clique: str, domain: DomainEntry, members: tuple[GraphNode, ...], gangs: int) -> dict[str, Any]:
    term = {"matchExpressions": [{"key": LABEL, "operator": "In", "values": [clique]}]}
    device = {
        "name": "domain",
        "attributes": {
            "type": {"string": "nvlink-domain"},
            "clique": {"string": clique},
            "name": {"string": domain.name[:64]},
            "state": {"string": state(domain, members)},
            "nodes": {"int": len(members)},
            "gpus": {"int": sum(node.gpus or 0 for node in members)},
        },
        "allowMultipleAllocations": True,
        "capacity": {
            GANGS: {
                "value": str(gangs),
                "requestPolicy": {"default": "1", "validRange": {"min": "1", "max": str(gangs)}},
            }
        },
    }
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": name},
        "spec": {
            "driver": DRIVER,
            "pool": {"name": f"nvlink-domains/{name}", "generation": 1, "resourceSliceCount": 1},
            "nodeSelector": {"nodeSelectorTerms": [term]},
            "devices": [device],
        },
    }
