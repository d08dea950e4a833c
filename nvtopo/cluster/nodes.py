"""One node in the graph: what is concluded from its ``NodeTopology`` alone.

Nothing here depends on any other node, so a rebuild concludes again only for the nodes that changed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from nvtopo.cluster import health, position, tiers
from nvtopo.cluster.findings import Finding
from nvtopo.cluster.health import Health
from nvtopo.cluster.position import Position
from nvtopo.model import fabric
from nvtopo.model.fabric import Verdict
from nvtopo.model.node import NodeTopology
from nvtopo.model.record import Problem

SOURCE = "graph"
"""The source of problems that the cluster side found, as opposed to the node's own."""

_SAYINGS: Mapping[Verdict, str] = MappingProxyType(
    {
        "Registering": "its GPUs have not finished registering with the NVLink fabric",
        "Error": "the NVLink fabric answered its GPUs' registration with an error",
        "Unhealthy": "the NVLink fabric calls its GPUs unhealthy",
        "Mixed": "its GPUs are in different states towards the NVLink fabric",
    }
)


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A node in the graph. One whose object cannot be read is one too: with a problem and without a topology."""

    name: str
    topology: NodeTopology | None
    tiers: Mapping[str, str] = field(default_factory=_nothing)
    """Tier → domain ID, closest first; empty where none is known."""
    position: Position = position.UNKNOWN
    gpus: int | None = None
    """How many GPUs answer; None where that is not known, which is not zero."""
    health: Mapping[str, Health] = field(default_factory=_nothing)
    fabric: Verdict | None = None
    problems: tuple[Problem, ...] = ()
    """The node's own problems, then what the graph finds odd about it."""
    findings: tuple[Finding, ...] = ()

    def order(self) -> tuple[tuple[bool, str, int, int, int], str]:
        """Physical order, then by name: total, and the same whatever came first."""
        return self.position.order(), self.name


def readable(name: str, topology: NodeTopology) -> GraphNode:
    """A node from its topology."""
    healths = health.of(topology)
    verdict = fabric.node_verdict(topology)
    findings = tuple(_findings(name, topology, verdict, healths))
    return GraphNode(
        name=name,
        topology=topology,
        tiers=MappingProxyType(tiers.of(topology)),
        position=position.of(topology),
        gpus=len(topology.gpus),
        health=healths,
        fabric=verdict,
        problems=topology.problems + tuple(as_problem(finding) for finding in findings),
        findings=findings,
    )


def unreadable(name: str, reason: str) -> GraphNode:
    """A node whose object cannot be read: listed, and said to be so."""
    return GraphNode(name=name, topology=None, problems=(Problem(source=SOURCE, subject="resource", reason=reason),))


def as_problem(finding: Finding) -> Problem:
    """A finding as the nodes it is about show it."""
    return Problem(source=SOURCE, subject=finding.kind, reason=finding.reason)


def _findings(name: str, topology: NodeTopology, verdict: Verdict, healths: Mapping[str, Health]) -> Iterator[Finding]:
    domains = sorted({domain for gpu in topology.gpus if (domain := fabric.gpu_domain(gpu.fabric))})
    if len(domains) > 1:
        yield Finding((name,), "domain", f"its GPUs name {len(domains)} NVLink domains: {', '.join(domains)}")
    if verdict in _SAYINGS:
        yield Finding((name,), "fabric", _SAYINGS[verdict] + _detail(topology, verdict))
    for reason in position.disagreements(topology):
        yield Finding((name,), "position", reason)
    if verdict in ("Attached", "SingleNode", "NotApplicable"):
        ill = [health.unusable(gpu) for gpu in topology.gpus if healths[gpu.key] in ("degraded", "fault")]
        if ill:
            yield Finding((name,), "nvlink", ", ".join(ill))


def _detail(topology: NodeTopology, verdict: Verdict) -> str:
    if verdict != "Mixed":
        return ""
    return ": " + ", ".join(f"{gpu.key} {fabric.verdict(gpu.fabric)}" for gpu in topology.gpus)
