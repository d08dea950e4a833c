"""One node in the graph, with the conclusions from its ``NodeTopology`` alone.

Nothing here depends on other nodes, so a rebuild repeats this only for nodes that changed.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from nvtopo.cluster import position, statement
from nvtopo.cluster import zones as zoning
from nvtopo.cluster.accepted import Acceptance
from nvtopo.cluster.claims import Claim, SwitchPort, Tier
from nvtopo.cluster.findings import Kind, NodeFinding, found
from nvtopo.cluster.judging import judge
from nvtopo.cluster.merge import Membership
from nvtopo.cluster.position import Position
from nvtopo.cluster.zones import Zones
from nvtopo.findings import of_health
from nvtopo.findings.finding import SEVERITIES, Severity
from nvtopo.model.conclusions import fabric, health_words, names
from nvtopo.model.conclusions.fabric import Verdict
from nvtopo.model.conclusions.health import NodeHealth
from nvtopo.model.conclusions.health_kinds import Code, Level, Reason
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.record import Problem

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


_LINKS: Final = ("nvlinks-missing", "nvlinks-down", "nvlink-p2p-refused")
#: Kind of finding → the reasons that it gathers.
_PARTS: Final[Mapping[Kind, tuple[Code, ...]]] = MappingProxyType(
    {
        "gpus": ("gpus-missing", "modules-missing"),
        "rails": ("rails-down", "rails-missing", "rail-without-ports"),
        "expectation": (
            "nics-missing",
            "mtu-differs",
            "rdma-mtu-differs",
            "gid-index-differs",
            "pcie-below-expected",
            "version-differs",
        ),
        "gpu": ("gpu-recovery", "gpu-memory-repair"),
        "pcie": ("pcie-below-best",),
    }
)


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A node in the graph. A node whose object can't be read has a problem and no topology."""

    name: str
    topology: NodeTopology | None
    in_store: bool = False
    """Whether it has a NodeTopology, readable or not. Other sources may name nodes that have none."""
    claims: tuple[Claim, ...] = ()
    """What it says itself of its tiers."""
    tiers: Mapping[str, str] = field(default_factory=_nothing)
    """Tier → domain ID, closest first; empty where none is known."""
    tier_sources: Mapping[str, tuple[str, ...]] = field(default_factory=_nothing)
    """Tier → the sources that say so; the one that decides comes first."""
    rails: tuple[SwitchPort, ...] = ()
    """The switches that its NICs are cabled to, by rail and plane."""
    zones: Zones = field(default_factory=_nothing)
    """Kind → zone, as an operator's file says."""
    position: Position = position.UNKNOWN
    gpus: int | None = None
    """Number of GPUs that answer; None if it is not known."""
    rail_nics: int | None = None
    """Number of its NICs of the compute network; None if it is not known."""
    judged: NodeHealth | None = None
    """How well the node is by itself; None where its object cannot be read."""
    health: Mapping[str, Level] = field(default_factory=_nothing)
    """``GPU0`` → its level, and the address or module of each GPU that does not answer → its."""
    fabric: Verdict | None = None
    problems: tuple[Problem, ...] = ()
    """The node's own problems, then findings about it as problems."""
    findings: tuple[NodeFinding, ...] = ()
    disputed: tuple[str, ...] = ()
    """GPUs, and ``place``, that another node claims too and that this one does not hold: placement leaves them out."""
    stale: bool = False
    """Whether its agent is not heard from: everything here is as it was then."""
    last_heard: str | None = None
    """RFC 3339, of a stale node; None if that is not known."""
    accepted: Acceptance | None = None
    """What an operator accepted of it."""

    def order(self) -> tuple[tuple[bool, str, int, int, int], str]:
        """Physical order, then by name: total, and the same whatever came first."""
        return self.position.order(), self.name


def readable(name: str, topology: NodeTopology) -> GraphNode:
    """A node from its topology."""
    judged, cells, verdict, rail_nics = judge(topology)
    findings = tuple(_findings(name, topology, verdict, judged))
    place = position.of(topology)
    return GraphNode(
        name=name,
        topology=topology,
        in_store=True,
        claims=statement.of(name, topology, place),
        position=place,
        gpus=len(topology.gpus),
        rail_nics=rail_nics,
        judged=judged,
        health=cells,
        fabric=verdict,
        problems=topology.problems + tuple(as_problem(finding) for finding in findings),
        findings=findings,
    )


class Seen(NamedTuple):
    """What others say of a node."""

    memberships: Mapping[Tier, Membership] = MappingProxyType({})
    ports: tuple[SwitchPort, ...] = ()
    findings: tuple[NodeFinding, ...] = ()
    disputed: tuple[str, ...] = ()
    accepted: Acceptance | None = None
    zones: Zones = zoning.NONE


def joined(node: GraphNode, seen: Seen) -> GraphNode:
    """The node with its tiers, rails and zones, and the findings from comparing it with others."""
    memberships, ports, findings, disputed, accepted, zones = seen
    return replace(
        node,
        problems=(*node.problems, *map(as_problem, findings)),
        findings=(*node.findings, *findings),
        disputed=disputed,
        accepted=accepted,
        tiers=MappingProxyType({tier: one.id for tier, one in memberships.items()}),
        tier_sources=MappingProxyType({tier: one.sources for tier, one in memberships.items()}),
        rails=ports,
        zones=zones,
    )


def silent(node: GraphNode, last_heard: str | None) -> GraphNode:
    """The node when its agent is not heard from: of no GPU is it known how it is."""
    reason = "its agent is not heard from" if last_heard is None else f"its agent was last heard at {last_heard}"
    return replace(
        node,
        stale=True,
        last_heard=last_heard,
        health=MappingProxyType(dict.fromkeys(node.health, "stale")),
        problems=(*node.problems, Problem(source=SOURCE, subject="stale", reason=reason)),
    )


def unreadable(name: str, reason: str) -> GraphNode:
    """A node whose object can't be read, with that as its problem."""
    problem = Problem(source=SOURCE, subject="resource", reason=reason)
    return GraphNode(name=name, topology=None, in_store=True, problems=(problem,))


def named(name: str) -> GraphNode:
    """A node that other sources name, and that has said nothing itself."""
    return GraphNode(name=name, topology=None)


def as_problem(finding: NodeFinding) -> Problem:
    """A finding as the nodes it is about show it."""
    return Problem(source=SOURCE, subject=finding.kind, reason=finding.reason)


def _findings(name: str, topology: NodeTopology, verdict: Verdict, judged: NodeHealth) -> Iterator[NodeFinding]:
    for differ in judged.reasons:
        if differ.code == "domains-differ":
            domains = ", ".join(map(str, differ.values))
            yield found("domain", (name,), f"its GPUs name {len(differ.values)} NVLink domains: {domains}")
    if verdict in _SAYINGS:
        about = [reason for reason in judged.reasons if reason.code.startswith("fabric-")]
        yield found("fabric", (name,), _saying(topology, verdict, about), severity=_worst(about))
    for reason in (*position.disagreements(topology), *position.impossible(topology)):
        yield found("position", (name,), reason)
    if verdict in ("Attached", "SingleNode", "NotApplicable"):
        links = [reason for reason in judged.reasons if reason.code in _LINKS]
        if links:
            yield found("nvlink", (name,), ", ".join(map(health_words.sentence, links)), severity=_worst(links))
    for kind, codes in _PARTS.items():
        about = [reason for reason in judged.reasons if reason.code in codes]
        if about:
            yield found(kind, (name,), ", ".join(map(health_words.sentence, about)), severity=_worst(about))
    limited = [reason for reason in judged.reasons if reason.code == "fabric-limited-capacity"]
    if limited and verdict not in _SAYINGS:
        yield found("fabric", (name,), ", ".join(map(health_words.sentence, limited)), severity=_worst(limited))


def _worst(reasons: Iterable[Reason]) -> Severity:
    """As doctor has it: what makes a node not ready is critical."""
    found = {of_health.severity(reason.code) for reason in reasons}
    return next((severity for severity in SEVERITIES if severity in found), "info")


def _saying(topology: NodeTopology, verdict: Verdict, reasons: Iterable[Reason]) -> str:
    """What the fabric's state is; of GPUs without one, what their health says."""
    lacking = [health_words.sentence(reason) for reason in reasons if reason.code == "fabric-not-supported"]
    return ", ".join(lacking) or _SAYINGS[verdict] + _detail(topology, verdict)


def _detail(topology: NodeTopology, verdict: Verdict) -> str:
    if verdict != "Mixed":
        return ""
    return ": " + ", ".join(f"{names.gpu(index)} {verdict}" for index, verdict in fabric.verdicts(topology).items())
