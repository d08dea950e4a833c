"""Claims: who says that a node belongs to a domain of a tier, that two ports are cabled, that a NIC is on a switch.

Every source of tiers yields a ``Reading``, and one merge makes the graph of all of them. A claim is never dropped: what
disagrees with others is a finding that names its source.
"""

from typing import Final, Literal, NamedTuple

from nvtopo.cluster.findings import NodeFinding

Tier = Literal["nvlinkDomain", "rack", "leaf", "spine", "core", "zone"]

#: Every tier, closest first. Conventions elsewhere contradict each other, so only exporters convert.
TIERS: Final[tuple[Tier, ...]] = ("nvlinkDomain", "rack", "leaf", "spine", "core", "zone")
NVLINK_DOMAIN: Final[Tier] = "nvlinkDomain"
RACK: Final[Tier] = "rack"


class Claim(NamedTuple):
    """One source says that a node is in a domain of a tier."""

    node: str
    tier: Tier
    id: str
    """Of the domain. Of a leaf it is the group of leaf switches that serve the same nodes, not one switch."""
    source: str
    """``nvml``, ``platform``, ``lldp``, ``ibnetdiscover``, ``slurm``, ``topograph``, ``labels/aws``, ``file``, …

    ``file/wins`` is an operator's file that says that it wins over all others; ``merge`` has the order.
    """
    seen_at: str | None = None
    """RFC 3339; None where the source does not say."""


class SwitchPort(NamedTuple):
    """Which switch a NIC of a node is cabled to: one rail, or one plane of one."""

    node: str
    rail: int | None
    plane: int | None
    nic: str
    """As the source names it: RDMA device, netdev, or port GUID."""
    leaf: str
    """The switch itself."""
    port: str
    source: str
    expected: str = ""
    """The switch that it should be on, if its peers are on another."""


class Cable(NamedTuple):
    """Two ends that a source says are cabled, nodes or switches; ``a`` sorts before ``b``."""

    a: str
    b: str
    source: str
    present: bool = True
    """False for a cable that should be there and is not."""


class ZoneClaim(NamedTuple):
    """An operator says that a node is in a zone of a kind, such as ``power``; ``nvtopo.cluster.zones``."""

    node: str
    kind: str
    zone: str


class Reading(NamedTuple):
    """What one source says."""

    claims: tuple[Claim, ...] = ()
    ports: tuple[SwitchPort, ...] = ()
    cables: tuple[Cable, ...] = ()
    findings: tuple[NodeFinding, ...] = ()
    zones: tuple[ZoneClaim, ...] = ()
    refused: str | None = None
    """Why nothing of it can be used: one sentence, with what was expected."""
