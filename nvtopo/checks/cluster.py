"""Nodes beside their peers: what differs within a rail, an NVLink domain or a model of NIC, whatever their shape.

Nodes of one shape are compared in ``nvtopo.cluster.drift_fleet``. Here, too, the few that differ from most are named.
With no majority nobody is the odd one.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from nvtopo.checks import peers
from nvtopo.checks.check import NotKnown, Outcome
from nvtopo.checks.rows import Group, Row
from nvtopo.findings.finding import Check, Finding, FindingDomain, Severity
from nvtopo.model.formats.listing import listed

_ALIGN: Final = "Bring the named nodes to the version that most have, or all to a newer one."
_MOST_NAMED: Final = 8
#: With fewer nobody is odd.
_LEAST_PEERS: Final = 3


class ClusterCheck(NamedTuple):
    """One check of many nodes: which values are compared, within which group."""

    check: Check
    reads: str
    said: str
    """What the value is called: ``driver``."""
    values: Callable[[Row], Mapping[Group, object]]
    """Group → this node's value in it; None if the node does not show it."""
    tie: Severity = "info"
    """What it is if no value is common: two halves of a rail with two MTUs are as bad as one odd node."""
    unseen: Callable[[Row], str | None] = lambda _: None
    """Why it is not known whether this node is in any group; None if it is known."""


class Compared(NamedTuple):
    """What comparing these nodes gave."""

    findings: tuple[Finding, ...]
    unknown: tuple[NotKnown, ...]
    """Which nodes do not show a value that is compared."""
    checks: dict[str, Outcome]
    """Id of each check → how it ended."""


def compared(rows: Mapping[str, Row]) -> Compared:
    """What differs among these nodes, and what can't be compared."""
    found: list[Finding] = []
    unknown: list[NotKnown] = []
    outcomes: dict[str, Outcome] = {}
    for one in CHECKS:
        groups = _groups(one, rows)
        shared = {group: values for group, values in groups.items() if len(values) > 1}  # else nobody to compare with
        differences = [finding for group in sorted(shared) for finding in _differences(one, group, shared[group])]
        open_ = [*_not_shown(one, shared), *_unseen(one, rows, groups)]
        found += differences
        unknown += open_
        outcomes[one.check.id] = (
            "failed" if differences else "unknown" if open_ else "passed" if shared else "not-applicable"
        )
    return Compared(tuple(found), tuple(unknown), outcomes)


def _groups(one: ClusterCheck, rows: Mapping[str, Row]) -> dict[Group, dict[str, object]]:
    groups: dict[Group, dict[str, object]] = {}
    for name, entry in rows.items():
        for group, value in one.values(entry).items():
            groups.setdefault(group, {})[name] = value
    return groups


def _not_shown(one: ClusterCheck, groups: Mapping[Group, Mapping[str, object]]) -> Iterator[NotKnown]:
    """Nodes that are in a group and do not show the value."""
    for group, values in sorted(groups.items()):
        if names := sorted(name for name, value in values.items() if value is None):
            yield _not_known(one, names, f"{_where(group)}: not shown: {one.said.removeprefix('an ')}")


def _unseen(
    one: ClusterCheck, rows: Mapping[str, Row], groups: Mapping[Group, Mapping[str, object]]
) -> Iterator[NotKnown]:
    """Nodes of which it is not known whether they are in a group, if there is a node to compare them with."""
    reasons: dict[str, list[str]] = {}
    for name, entry in sorted(rows.items()):
        if (why := one.unseen(entry)) is not None:
            reasons.setdefault(why, []).append(name)
    dark = {name for names in reasons.values() for name in names}
    if len(dark.union(*groups.values())) > 1:
        yield from (_not_known(one, names, why) for why, names in reasons.items())


def _not_known(one: ClusterCheck, names: list[str], reason: str) -> NotKnown:
    return NotKnown(
        id=one.check.id,
        domain=one.check.domain,
        subject=listed(names, _MOST_NAMED),
        reason=reason,
        remedy=f"Give captures of these nodes by root, outside of a container: it is in {one.reads}.",
    )


def _where(group: Group) -> str:
    return " ".join(filter(None, group))


def _differences(one: ClusterCheck, group: Group, compared: Mapping[str, object]) -> Iterator[Finding]:
    values = {name: value for name, value in compared.items() if value is not None}
    if len(set(values.values())) < 2:  # noqa: PLR2004 - all are alike
        return
    where = _where(group)
    most = peers.common(values.values()) if len(values) >= _LEAST_PEERS else None
    if most is None:
        evidence = f"{len(values)} nodes have {one.said} {peers.counted(values.values())}"
        yield one.check.finding(where, evidence, one.tie)
        return
    odd: dict[object, list[str]] = {}
    for name, value in sorted(values.items()):
        if value != most:
            odd.setdefault(value, []).append(name)
    for value, names in odd.items():
        yield one.check.finding(listed(names, _MOST_NAMED), f"{where}: {one.said} {value}, and most peers have {most}")


def _check(name: str, domain: FindingDomain, severity: Severity, expected: str, remedy: str) -> Check:
    return Check(name, severity, domain, expected, remedy)


CHECKS: Final[tuple[ClusterCheck, ...]] = (
    ClusterCheck(
        _check(
            "rail-mtu-skew",
            "network-fabric",
            "warning",
            "one MTU on all nodes of a rail",
            "Set the MTU of the named nodes as the others of the rail have it: a larger packet is dropped silently.",
        ),
        "/sys/class/net/*/mtu",
        "an MTU of",
        lambda entry: {("rail", number, layer): mtu for (layer, number), mtu in entry.mtus.items()},
        tie="warning",
        unseen=lambda entry: entry.unseen_rails,
    ),
    ClusterCheck(
        _check(
            "rail-rdma-mtu-skew",
            "network-fabric",
            "warning",
            "one active MTU on all InfiniBand ports of a rail",
            "Look at the MTU of the partition and of the switch's port: the subnet manager sets what both ends can do.",
        ),
        "ibv_query_port",
        "an active MTU of",
        lambda entry: {("rail", *rail): mtu for rail, mtu in entry.rdma_mtus.items()},
        tie="warning",
        unseen=lambda entry: entry.unseen_rails,
    ),
    ClusterCheck(
        _check(
            "rail-gid-skew",
            "network-fabric",
            "info",
            "one GID index on all nodes of a rail",
            "Leave NCCL_IB_GID_INDEX unset: one number can't be right for all nodes.",
        ),
        "/sys/class/infiniband/*/ports/*/gids",
        "GID index",
        lambda entry: {("rail", *rail): index for rail, index in entry.gids.items()},
        unseen=lambda entry: entry.unseen_rails,
    ),
    ClusterCheck(
        _check("domain-driver-skew", "gpu-fabric", "warning", "one driver in an NVLink domain", _ALIGN),
        "nvmlSystemGetDriverVersion",
        "driver",
        lambda entry: {("NVLink domain", entry.domain): entry.driver} if entry.domain else {},
        tie="warning",
    ),
    ClusterCheck(
        _check(
            "domain-imex-skew",
            "gpu-fabric",
            "warning",
            "one list of nodes for the IMEX daemons of an NVLink domain",
            "Make /etc/nvidia-imex/nodes_config.cfg the same, line by line, on all nodes of the domain; restart IMEX.",
        ),
        "/etc/nvidia-imex/nodes_config.cfg",
        "an IMEX node list with hash",
        lambda entry: {("NVLink domain", entry.domain): entry.imex} if entry.domain else {},
        tie="warning",
    ),
    ClusterCheck(
        _check("nic-firmware-skew", "network-fabric", "warning", "one firmware on all NICs of a model", _ALIGN),
        "/sys/class/infiniband/*/fw_ver",
        "firmware",
        lambda entry: {("NIC", *model): version for model, version in entry.firmware.items()},
        unseen=lambda entry: entry.unseen_rails,
    ),
    ClusterCheck(
        _check(
            "rail-pfc-skew",
            "network-fabric",
            "warning",
            "PFC on the same priorities on all nodes of a rail",
            "Set PFC on the named nodes as the others of the rail have it, and as the switch has it.",
        ),
        "netlink (DCB_CMD_IEEE_GET)",
        "PFC on priority",
        lambda entry: {("rail", *rail): bits for rail, bits in entry.pfc.items()},
        tie="warning",
        unseen=lambda entry: entry.unseen_rails,
    ),
    ClusterCheck(
        _check(
            "overlay-mtu-skew",
            "network-fabric",
            "warning",
            "one MTU of the pod network on all nodes",
            "Set one MTU in the network plugin's configuration, then restart its pods and the jobs on the named nodes.",
        ),
        "/sys/class/net/*/mtu",
        "an MTU of",
        lambda entry: entry.overlays,
        tie="warning",
        unseen=lambda entry: entry.unseen_netdevs,
    ),
)
