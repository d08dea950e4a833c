"""Findings about nodes: contradictions and faults. A contradiction is reported, never resolved by guessing."""

from dataclasses import dataclass
from typing import Final, Literal

from nvtopo.findings.finding import Check, Finding, Severity

Kind = Literal[
    "fabric",  # the NVLink fabric of a node is not ready, broken, or its GPUs disagree about it
    "domain",  # the GPUs of one node name several NVLink domains
    "position",  # the GPUs of one node name several places
    "nvlink",  # NVLinks that do not carry traffic
    "gpus",  # GPUs of the machine are not there
    "rails",  # a rail is missing, or none has an active port
    "expectation",  # the machine is otherwise than is expected of its shape
    "gpu",  # the driver asks for a reset or more, or memory is not repaired
    "pcie",  # a PCIe link has fewer lanes than both ends support, or a NIC's a lower generation
    "same-place",  # several nodes claim one place in a rack
    "same-gpu",  # several nodes claim one GPU
    "crowded",  # a domain has more GPUs than its product can have
    "alone",  # a node is in a domain, and in another chassis or at another tray than all the others
    "tier",  # sources disagree about the domain that a node is in
    "cabling",  # a cable is missing, or is not where its peers' cables are
    "drift",  # a node, rack or domain is otherwise than is expected, or than its peers
    "dra",  # what a DRA driver publishes is not what the node sees
    "dra-notes",  # a DRA driver publishes something in a way that others can't use
    "taints",  # more devices are degraded than may be tainted
    "source",  # a source, or a part of it, can't be used
]

_CHECKS: Final[dict[Kind, Check]] = {
    "fabric": Check(
        id="nvlink-fabric-not-ready",
        severity="critical",
        domain="gpu-fabric",
        expected="every GPU has registered with a healthy NVLink fabric",
        remedy="See NvtopoFabricUnhealthy in docs/runbooks.md: look at the fabric manager, then at `nvidia-smi -q`.",
    ),
    "domain": Check(
        id="nvlink-domains-differ",
        severity="critical",
        domain="gpu-fabric",
        expected="all GPUs of a node name one NVLink domain",
        remedy="Compare clusterUUID and cliqueId of its GPUs (`nvidia-smi -q`); restart the fabric manager or IMEX.",
    ),
    "position": Check(
        id="position-differs",
        severity="warning",
        domain="gpu-fabric",
        expected="all GPUs of a node name one place in the rack",
        remedy="Compare the platform information of its GPUs (`nvidia-smi -q`) with the rack.",
    ),
    "nvlink": Check(
        id="nvlinks-missing",
        severity="warning",
        domain="gpu-fabric",
        expected="every NVLink of a GPU carries traffic",
        remedy="See NvtopoNvlinkDown in docs/runbooks.md: `nvidia-smi nvlink -s`, then the kernel's log for XIDs.",
    ),
    "gpus": Check(
        id="gpus-missing",
        severity="warning",
        domain="pcie",
        expected="every GPU of the machine is on the bus and answers",
        remedy="Compare `lspci -d 10de:` with a healthy machine, then look for XID 79 in the kernel's log.",
    ),
    "rails": Check(
        id="rails-down",
        severity="critical",
        domain="network-fabric",
        expected="every rail is there, and the rails have active ports",
        remedy="See NvtopoRdmaPortDown in docs/runbooks.md: `ibstat`, then the switch they share.",
    ),
    "expectation": Check(
        id="not-as-expected",
        severity="warning",
        domain="host",
        expected="the machine is as its expectation says",
        remedy="See NvtopoNotAsExpected in docs/runbooks.md: repair the machine, or correct what is expected.",
    ),
    "gpu": Check(
        id="gpu-needs-recovery",
        severity="critical",
        domain="host",
        expected="no GPU needs a recovery action, and no repair of its memory is pending or failed",
        remedy="See NvtopoGpuRecoveryNeeded in docs/runbooks.md: drain the node, then reset the GPU or reboot.",
    ),
    "pcie": Check(
        id="pcie-link-below-best",
        severity="warning",
        domain="pcie",
        expected="PCIe links with the lanes that both ends support",
        remedy="See NvtopoPcieDowngraded in docs/runbooks.md: reseat the card, its riser or its cable.",
    ),
    "same-place": Check(
        id="place-claimed-twice",
        severity="warning",
        domain="gpu-fabric",
        expected="one node in each place of a rack",
        remedy="Find out which of the nodes is there; delete the NodeTopology of one that is gone.",
    ),
    "same-gpu": Check(
        id="gpu-claimed-twice",
        severity="critical",
        domain="host",
        expected="one node has a GPU",
        remedy="Find out which of the nodes has it; delete the NodeTopology of one that is gone.",
    ),
    "crowded": Check(
        id="domain-crowded",
        severity="warning",
        domain="gpu-fabric",
        expected="a domain has no more GPUs than its product can join",
        remedy="Find out which of the named nodes is not in that domain; delete the NodeTopology of one that is gone.",
    ),
    "alone": Check(
        id="place-far-from-peers",
        severity="warning",
        domain="gpu-fabric",
        expected="a node sits in a chassis with the others of its domain, at a tray near theirs",
        remedy="Compare the platform information of its GPUs (`nvidia-smi -q`) with the rack.",
    ),
    "tier": Check(
        id="tier-sources-disagree",
        severity="warning",
        domain="network-fabric",
        expected="all sources place a node in one domain of a tier",
        remedy="Find out which source is out of date; an operator's file can decide.",
    ),
    "cabling": Check(
        id="cabling-differs",
        severity="warning",
        domain="network-fabric",
        expected="every node is cabled as its peers are",
        remedy="Look at the named port and cable: unplugged, dead, or in the wrong switch.",
    ),
    "drift": Check(
        id="drift",
        severity="warning",
        domain="host",
        expected="machines of one shape are alike",
        remedy="See NvtopoDrift in docs/runbooks.md: repair it, or accept it with `nvtopo accept`.",
    ),
    "dra": Check(
        id="resource-slices-differ",
        severity="warning",
        domain="scheduler",
        expected="DRA drivers publish whole pools of the devices that the node sees, by the standard attributes",
        remedy="Compare `kubectl get resourceslices -o yaml` with `nvtopo graph`, then look at the driver's log.",
    ),
    "dra-notes": Check(
        id="resource-slices-notes",
        severity="info",
        domain="scheduler",
        expected="DRA drivers say what they know by the standard attributes, and leave out what they do not know",
        remedy="Claims that match by the named attribute may stay pending or pair the wrong devices: see docs/dra.md.",
    ),
    "taints": Check(
        id="device-taints-withheld",
        severity="warning",
        domain="scheduler",
        expected="fewer GPUs are degraded at a time than nvtopo may taint",
        remedy="Find what the GPUs have in common (driver, fabric manager, a switch); see docs/dra.md for the limit.",
    ),
    "source": Check(
        id="topology-source-unusable",
        severity="warning",
        domain="runtime",
        expected="every source of the topology can be read",
        remedy="Correct the named file, or read it again from where it comes.",
    ),
}


@dataclass(frozen=True, slots=True, order=True)
class NodeFinding:
    """One finding and the nodes that it is about."""

    nodes: tuple[str, ...]
    kind: Kind
    finding: Finding

    @property
    def reason(self) -> str:
        """In words, with the values that disagree."""
        return self.finding.evidence


def found(
    kind: Kind, nodes: tuple[str, ...], evidence: str, *, subject: str = "", severity: Severity | None = None
) -> NodeFinding:
    """A finding about these nodes. ``subject`` is given if it is not about the nodes themselves."""
    return NodeFinding(nodes, kind, _CHECKS[kind].finding(subject or ", ".join(nodes), evidence, severity))
