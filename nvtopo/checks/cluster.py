"""Nodes beside their peers: what differs within a rail, an NVLink domain or a model of NIC, whatever their shape.

Nodes of one shape are compared in ``nvtopo.cluster.drift_fleet``. Here, too, the few that differ from most are named.
With no majority nobody is the odd one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from nvtopo.checks import peers, qos
from nvtopo.checks.check import Machine, NotKnown, Outcome, UnknowableError
from nvtopo.findings.finding import Check, Finding, FindingDomain, Severity
from nvtopo.model.conclusions.ports import is_up
from nvtopo.model.formats.listing import listed
from nvtopo.model.records.node import Nic
from nvtopo.model.records.snapshot import Snapshot

_ALIGN: Final = "Bring the named nodes to the version that most have, or all to a newer one."
_MOST_NAMED: Final = 8
#: With fewer nobody is odd.
_LEAST_PEERS: Final = 3

Group = tuple[str, ...]


class Row(NamedTuple):
    """What a node shows of itself that its peers can be compared by. None is not known; what it has not is left out."""

    domain: str | None
    """Its NVLink domain."""
    driver: str | None
    mtus: Mapping[Group, int | None]
    """Link layer and rail → MTU."""
    gids: Mapping[Group, int | None]
    """Rail → GID index, of RoCE."""
    firmware: Mapping[Group, str | None]
    """Model of NIC → firmware, if all NICs of the model have one."""
    pfc: Mapping[Group, str | None]
    """Rail → priorities with PFC, of RoCE."""
    imex: str | None
    """A hash of the nodes that its IMEX daemon is told of; None if it has no daemon of its own."""


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


class Compared(NamedTuple):
    """What comparing these nodes gave."""

    findings: tuple[Finding, ...]
    unknown: tuple[NotKnown, ...]
    """Which nodes do not show a value that is compared."""
    checks: dict[str, Outcome]
    """Id of each check → how it ended."""


def row(machine: Machine) -> Row:
    """What is compared of one node."""
    node, numbered = machine.node, machine.derived.rails if machine.known_rails else {}
    up = [nic for nic in node.nics if nic.name in numbered and any(is_up(port) for port in nic.ports)]
    return Row(
        domain=machine.derived.nvlink_domain,
        driver=node.host.driver_version or None,
        mtus={(_layer(nic), str(numbered[nic.name])): nic.mtu_bytes for nic in up if nic.netdevs},
        gids={
            (str(numbered[nic.name]),): port.gid_index
            for nic in up
            for port in nic.ports
            if port.link_layer == "Ethernet"
        },
        firmware=_firmware(machine.snapshot, up),
        pfc=_pfc(machine),
        imex=_imex(machine.snapshot),
    )


def _pfc(machine: Machine) -> dict[Group, str | None]:
    found: dict[Group, str | None] = {}
    try:
        shown, rails = qos.of_rails(machine), qos.roce_rails(machine)
    except UnknowableError:
        return found
    for nic in rails:
        bits = shown[nic.name].pfc if nic.name in shown else None
        found[str(machine.derived.rails[nic.name]),] = None if bits is None else qos.priorities(bits)
    return found


def _imex(snapshot: Snapshot | None) -> str | None:
    facts = snapshot.imex if snapshot is not None else None
    return facts.nodes_digest or None if facts is not None and facts.daemons else None


def _layer(nic: Nic) -> str:
    return next((port.link_layer for port in nic.ports if port.link_layer), "")


def _firmware(snapshot: Snapshot | None, nics: Iterable[Nic]) -> dict[Group, str | None]:
    """One version of each model; a model with several is left to the check of the node."""
    devices = snapshot.rdma.devices if snapshot is not None and snapshot.rdma is not None else ()
    versions = {device.name: device.firmware for device in devices}
    found: dict[Group, set[str | None]] = {}
    for nic in nics:
        if nic.model:
            found.setdefault((nic.model,), set()).add(versions.get(nic.name) or None)
    return {model: seen.pop() for model, seen in found.items() if len(seen) == 1}


def compared(rows: Mapping[str, Row]) -> Compared:
    """What differs among these nodes, and what can't be compared."""
    found: list[Finding] = []
    unknown: list[NotKnown] = []
    outcomes: dict[str, Outcome] = {}
    for one in CHECKS:
        outcome: Outcome = "not-applicable"
        for group, values in sorted(_groups(one, rows).items()):
            shown = {name: value for name, value in values.items() if value is not None}
            if len(values) == 1:
                continue  # nobody to compare it with
            differences = tuple(_differences(one, group, shown))
            found += differences
            if len(shown) < len(values):
                unknown.append(_not_shown(one, group, sorted(values.keys() - shown.keys())))
            if differences:
                outcome = "failed"
            elif outcome != "failed":
                outcome = "unknown" if len(shown) < len(values) or outcome == "unknown" else "passed"
        outcomes[one.check.id] = outcome
    return Compared(tuple(found), tuple(unknown), outcomes)


def _groups(one: ClusterCheck, rows: Mapping[str, Row]) -> dict[Group, dict[str, object]]:
    groups: dict[Group, dict[str, object]] = {}
    for name, entry in rows.items():
        for group, value in one.values(entry).items():
            groups.setdefault(group, {})[name] = value
    return groups


def _not_shown(one: ClusterCheck, group: Group, names: list[str]) -> NotKnown:
    return NotKnown(
        id=one.check.id,
        domain=one.check.domain,
        subject=listed(names, _MOST_NAMED),
        reason=f"{_where(group)}: not shown: {one.said.removeprefix('an ')}",
        remedy=f"Give captures of these nodes by root, outside of a container: it is in {one.reads}.",
    )


def _where(group: Group) -> str:
    return " ".join(filter(None, group))


def _differences(one: ClusterCheck, group: Group, values: Mapping[str, object]) -> Iterator[Finding]:
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
    ),
)
