"""What a source of the network finds wrong, with its words."""

from collections.abc import Iterable
from typing import Final

from nvtopo.cluster.findings import NodeFinding
from nvtopo.findings.finding import Check

_REMEDY: Final = "Look at both ends of the cable; if it is meant to be so, say it in a file of expected cabling."

CABLE_MISSING: Final = Check(
    id="cable-missing",
    severity="warning",
    domain="network-fabric",
    expected="the cables that the peers of a node or switch have",
    remedy=_REMEDY,
)
CABLE_MISPLACED: Final = Check(
    id="cable-misplaced",
    severity="warning",
    domain="network-fabric",
    expected="every NIC on the switch of its rail, as its peers have it",
    remedy=_REMEDY,
)
CABLE_EXTRA: Final = Check(
    id="cable-not-expected",
    severity="warning",
    domain="network-fabric",
    expected="only the cables that the file of expected cabling has",
    remedy="Take the cable out, or add it to the file.",
)
NOTHING_OBSERVED: Final = Check(
    id="cabling-not-observed",
    severity="info",
    domain="network-fabric",
    expected="a source that sees cables, in addition to the file of expected cabling",
    remedy="Give the output of ibnetdiscover or lldpctl as well.",
)
CABLE_LOOP: Final = Check(
    id="cable-loop",
    severity="warning",
    domain="network-fabric",
    expected="no switch is cabled to itself",
    remedy="Take the cable out, or mark the port as a loopback.",
)
GROUP_UNDECIDED: Final = Check(
    id="leaf-group-undecided",
    severity="warning",
    domain="network-fabric",
    expected="most cables of a node go to the leaves of one group",
    remedy=_REMEDY,
)
NAMES_SHARED: Final = Check(
    id="host-name-shared",
    severity="warning",
    domain="network-fabric",
    expected="one host for each description",
    remedy="Set node_desc on each host (rdma-ndd does), or give the nodes' captures, so that their GUIDs tell.",
)
NAMES_MISSING: Final = Check(
    id="host-name-missing",
    severity="info",
    domain="network-fabric",
    expected="a description with a host's name for each adapter",
    remedy="Set node_desc on each host (rdma-ndd does), or give the nodes' captures, so that their GUIDs tell.",
)
PARTIAL: Final = Check(
    id="source-partial",
    severity="info",
    domain="network-fabric",
    expected="the whole fabric",
    remedy="Take the output again, whole.",
)

NEIGHBOUR_UNCLEAR: Final = Check(
    id="lldp-neighbour-unclear",
    severity="info",
    domain="network-fabric",
    expected="one switch on each port",
    remedy="Look for a bridge or media converter between the port and the switches; it forwards LLDP.",
)


def cabling(check: Check, nodes: Iterable[str], subject: str, evidence: str) -> NodeFinding:
    """A cable that does not fit."""
    return NodeFinding(tuple(sorted(nodes)), "cabling", check.finding(subject, evidence))


def source(check: Check, nodes: Iterable[str], subject: str, evidence: str) -> NodeFinding:
    """Something that a source says and that can't be used."""
    return NodeFinding(tuple(sorted(nodes)), "source", check.finding(subject, evidence))
