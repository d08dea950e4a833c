"""What a node shows of itself that its peers can be compared by."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from nvtopo.checks import overlays, qos
from nvtopo.checks.check import Machine, UnknowableError
from nvtopo.model.conclusions.nics import NO_DEVICE, NO_DRIVER
from nvtopo.model.conclusions.ports import is_up
from nvtopo.model.formats.listing import listed
from nvtopo.model.records.node import Nic
from nvtopo.model.records.snapshot import Snapshot

_MOST_NAMED: Final = 8

Group = tuple[str, ...]


class Row(NamedTuple):
    """None is not known; what the node has not is left out."""

    domain: str | None
    """Its NVLink domain."""
    driver: str | None
    mtus: Mapping[Group, int | None]
    """Link layer and rail → MTU."""
    rdma_mtus: Mapping[Group, int | None]
    """Rail → the active MTU of its ports, of InfiniBand; that of RoCE follows its netdev."""
    gids: Mapping[Group, int | None]
    """Rail → GID index, of RoCE."""
    firmware: Mapping[Group, str | None]
    """Model of NIC → firmware, if all NICs of the model have one."""
    pfc: Mapping[Group, str | None]
    """Rail → priorities with PFC, of RoCE."""
    imex: str | None
    """A hash of the nodes that its IMEX daemon is told of; None if it has no daemon of its own."""
    overlays: Mapping[Group, int | None]
    """Device of the pod network → MTU."""
    unseen_rails: str | None = None
    """Why it is not known which NICs are rails, or how a rail is; None if all can be compared."""
    unseen_netdevs: str | None = None
    """Why its network devices are not known; None if they are."""


def row(machine: Machine) -> Row:
    """What is compared of one node."""
    node, numbered = machine.node, machine.derived.rails if machine.known_rails else {}
    up = [nic for nic in node.nics if nic.name in numbered and any(is_up(port) for port in nic.ports)]
    net = machine.snapshot.net if machine.snapshot is not None else None
    return Row(
        domain=machine.derived.nvlink_domain,
        driver=node.host.driver_version or None,
        mtus={(_layer(nic), str(numbered[nic.name])): nic.mtu_bytes for nic in up if nic.netdevs},
        rdma_mtus={
            (str(numbered[nic.name]),): port.active_mtu_bytes
            for nic in up
            for port in nic.ports
            if is_up(port) and port.link_layer == "InfiniBand"
        },
        gids={
            (str(numbered[nic.name]),): port.gid_index
            for nic in up
            for port in nic.ports
            if port.link_layer == "Ethernet"
        },
        firmware=_firmware(machine.snapshot, up),
        pfc=_pfc(machine),
        imex=_imex(machine.snapshot),
        overlays={("device", name): mtu for name, mtu in ({} if net is None else overlays.mtus(net)).items()},
        unseen_rails=_unseen_rails(machine),
        unseen_netdevs="the input does not show its network devices" if net is None else None,
    )


def _unseen_rails(machine: Machine) -> str | None:
    try:
        rails = machine.all_rails
    except UnknowableError as error:
        return str(error)
    hidden = [nic.name for nic in rails if nic.hidden_by and nic.hidden_by not in (NO_DRIVER, NO_DEVICE)]
    if hidden:
        return f"not seen from here: {listed(hidden, _MOST_NAMED)}"
    silent = [nic.name for nic in rails if any(not port.state for port in nic.ports)]
    return f"whether its ports are active is not shown: {listed(silent, _MOST_NAMED)}" if silent else None


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
