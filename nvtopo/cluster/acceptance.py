"""What an operator accepted as right: which act counts, what a revocation takes back, what is observed of a node."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from nvtopo.cluster.accepted import MOST_ACTS, MOST_FACTS, Acceptance, AcceptedFact, Act, Group
from nvtopo.cluster.nodes import GraphNode
from nvtopo.cluster.traits import GPUS, Fact, Traits, Value, traits_of, wanted
from nvtopo.model.conclusions import ports, presence, rails
from nvtopo.model.conclusions.distance import Distances
from nvtopo.model.records.expected import Expectation, PcieExpectation, VersionExpectation
from nvtopo.model.records.node import Nic, NodeTopology

#: Facts of GPUs of which more than was accepted is no difference.
_AT_LEAST: Final = ("nvlinks", "link.width", "link.maxGeneration")


def standing(acts: Mapping[str, Act], now: str) -> dict[str, Acceptance]:
    """Node → what is accepted of it now: the latest act that has not ended decides, whole."""
    found: dict[str, Acceptance] = {}
    for _, act in sorted(acts.items(), key=lambda item: (item[1].at, item[0]))[-MOST_ACTS:]:
        if act.ended(now):
            continue
        for group in act.groups:
            acceptance = Acceptance(
                expect=group.expect, facts=group.facts, at=act.at, until=act.until, reason=act.reason
            )
            found |= dict.fromkeys(group.nodes, acceptance)
    return found


def revoked(acts: Mapping[str, Act], nodes: Collection[str], now: str) -> dict[str, Act | None]:
    """The acts that must be written so that nothing is accepted of these nodes; None for one to delete.

    Acts that have ended are deleted as well.
    """
    changed: dict[str, Act | None] = {}
    for key, act in acts.items():
        groups = tuple(filter(None, (_without(group, nodes) for group in act.groups)))
        if act.ended(now) or not groups:
            changed[key] = None
        elif groups != act.groups:
            changed[key] = Act(at=act.at, until=act.until, reason=act.reason, groups=groups)
    return changed


def groups_of(nodes: Iterable[GraphNode], differing: Mapping[str, Traits]) -> tuple[Group, ...]:
    """What is observed of these nodes, alike ones in one group. ``differing`` is in what each drifts."""
    alike: dict[tuple[Expectation, tuple[AcceptedFact, ...]], list[str]] = {}
    for node in nodes:
        if node.topology is not None:
            expect = observed(node, node.topology)
            facts = _beyond(expect, node, differing.get(node.name, {}))
            alike.setdefault((expect, facts), []).append(node.name)
    return tuple(
        Group(nodes=tuple(sorted(names)), expect=expect, facts=facts) for (expect, facts), names in alike.items()
    )


def accepted_traits(node: GraphNode, traits: Traits) -> dict[Fact, Value]:
    """What was accepted of each fact of a node. Of links and lanes more than was accepted is no difference."""
    acceptance = node.accepted
    if acceptance is None:
        return {}
    found = wanted(acceptance.expect, node, traits)
    found |= {Fact(one.kind, one.subject, one.path): one.value for one in acceptance.facts}
    return {fact: _least_of(fact, value, traits[fact]) for fact, value in found.items() if fact in traits}


def _least_of(fact: Fact, accepted: Value, value: Value) -> Value:
    more = isinstance(accepted, int) and isinstance(value, int) and value > accepted
    return value if more and fact.kind == GPUS and fact.path in _AT_LEAST else accepted


def observed(node: GraphNode, topology: NodeTopology) -> Expectation:
    """What a node has, as what should be; what differs between its devices is left out."""
    roles = rails.roles(topology, Distances(topology))
    compute = ports.rail_nics(topology.nics, roles)
    traits = traits_of(node)
    host = topology.host
    return Expectation(
        gpus=presence.accounted(topology),
        nics=len(topology.nics) if "nics" not in topology.unseen and topology.nics else None,
        rails=node.rail_nics,
        nvlinks_per_gpu=_least(traits, "nvlinks"),
        mtu_bytes=_same(nic.mtu_bytes for nic in compute),
        rdma_mtu_bytes=_same(_each_port(compute, "active_mtu_bytes")),
        gid_index=_same(_each_port(compute, "gid_index")),
        pcie=_pcie(_least(traits, "link.width"), _least(traits, "link.maxGeneration")),
        versions=VersionExpectation(driver=host.driver_version, cuda=host.cuda_version, kernel=host.kernel or None),
    )


def _beyond(expect: Expectation, node: GraphNode, differing: Traits) -> tuple[AcceptedFact, ...]:
    """Facts in which the node drifts and that its expectation does not say."""
    said = wanted(expect, node, differing)
    left = [(fact, value) for fact, value in sorted(differing.items()) if said.get(fact) != value]
    return tuple(
        AcceptedFact(kind=fact.kind, subject=fact.subject, path=fact.path, value=value)
        for fact, value in left[:MOST_FACTS]
    )


def _without(group: Group, nodes: Collection[str]) -> Group | None:
    left = tuple(name for name in group.nodes if name not in nodes)
    return Group(nodes=left, expect=group.expect, facts=group.facts) if left else None


def _least(traits: Traits, path: str) -> int | None:
    """Of its GPUs, if it is known of each that has the fact."""
    found = [value for fact, value in traits.items() if (fact.kind, fact.path) == (GPUS, path)]
    numbers = [value for value in found if isinstance(value, int)]
    return min(numbers, default=None)


def _same(values: Iterable[int | None]) -> int | None:
    found = set(values)
    return found.pop() if len(found) == 1 else None


def _each_port(nics: Iterable[Nic], fact: str) -> list[int | None]:
    return [getattr(port, fact) for nic in nics for port in nic.ports if port.state == "ACTIVE"]


def _pcie(width: int | None, generation: int | None) -> PcieExpectation | None:
    return None if width is None and generation is None else PcieExpectation(width=width, generation=generation)
