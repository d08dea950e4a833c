"""Flow control of the RoCE rails: PFC, the priority of a packet, buffers, and ECN, alike and there at all."""

from collections.abc import Callable, Hashable, Iterator
from typing import Final

from nvtopo.checks import netdevs, peers
from nvtopo.checks.check import NODE, CheckResult, Fits, Found, Machine, NodeCheck, UnknowableError, Unknown
from nvtopo.findings.finding import Check
from nvtopo.model.conclusions.ports import is_up
from nvtopo.model.records.facts import NetQos
from nvtopo.model.records.node import Nic

_ETHERNET: Final = "Ethernet"
_VLAN: Final = "vlan"
_DCB: Final = "netlink (DCB_CMD_IEEE_GET)"
_NOT_SHOWN: Final = "neither the kernel nor the driver shows it"
_NO_DCB: Final = "the input is not a capture, or the NIC's driver has no data center bridging"


def roce_rails(machine: Machine) -> tuple[Nic, ...]:
    """The rails that carry RDMA over Ethernet, or an error if it can't be known of one."""
    for nic in machine.rails:
        if any(is_up(port) and not port.link_layer for port in nic.ports) and machine.unread(
            "rdma", f"/{nic.name}/", "link_layer"
        ):
            raise UnknowableError(f"the link layer of {nic.name} could not be read")
    return tuple(
        nic for nic in machine.rails if any(is_up(port) and port.link_layer == _ETHERNET for port in nic.ports)
    )


def of_rails(machine: Machine) -> dict[str, NetQos]:
    """RoCE rail → what is shown of its first network device that shows anything."""
    facts = machine.snapshot.qos if machine.snapshot is not None else None
    shown = {} if facts is None else {one.netdev: one for one in facts.devices}
    rails = {nic.name: [shown[name] for name in nic.netdevs if name in shown] for nic in roce_rails(machine)}
    return {name: found[0] for name, found in rails.items() if found}


def priorities(bits: int | None) -> str:
    """``3, 4`` of the bits 3 and 4; ``none`` of no bit."""
    return ", ".join(str(number) for number in range(8) if (bits or 0) >> number & 1) or "none"


def _each(machine: Machine) -> tuple[str, ...]:
    """The RoCE rails, or the node if none of them shows anything."""
    rails = tuple(nic.name for nic in roce_rails(machine))
    return rails if of_rails(machine) else rails and (NODE,)


def _alike(
    of: Callable[[NetQos], Hashable | None], said: Callable[[NetQos], str]
) -> Callable[[Machine], Iterator[CheckResult]]:
    def find(machine: Machine) -> Iterator[CheckResult]:
        shown = of_rails(machine)
        values: dict[str, str] = {}
        if roce_rails(machine) and not any(of(one) is not None for one in shown.values()):
            yield Unknown(NODE, _NOT_SHOWN)
            return
        for nic in roce_rails(machine):
            if nic.name not in shown or of(shown[nic.name]) is None:
                yield Unknown(nic.name, _NOT_SHOWN)
            else:
                values[nic.name] = said(shown[nic.name])
        if len(set(values.values())) > 1:
            odd, most = peers.odd(values), peers.common(values.values())
            for name, value in odd.items():
                yield Found(name, f"has {value}, and most rails have {most}", expected=most)
            if not odd:
                yield Found(NODE, f"the rails have {peers.counted(values.values())}", "info")
        elif values:
            yield Fits()

    return find


def _controlled(machine: Machine) -> Iterator[CheckResult]:
    """Without PFC and without ECN a full queue drops packets, and RoCE sends again from where it was."""
    shown = of_rails(machine)
    for nic in _each(machine):
        one = shown.get(nic)
        if one is not None and (one.pfc or one.ecn_react):
            yield Fits()
        elif one is None or one.pfc is None or one.ecn_react is None:
            yield Unknown(nic, "it is not shown whether PFC or ECN is on")
        else:
            yield Found(nic, "has neither PFC nor ECN on any priority")


def _buffers(machine: Machine) -> Iterator[CheckResult]:
    """Pause frames come too late for a priority whose receive buffer has no room."""
    shown = of_rails(machine)
    for nic in _each(machine):
        one = shown.get(nic)
        if one is None or one.pfc is None or (one.pfc and not one.buffers_bytes):
            yield Unknown(nic, "its PFC or its receive buffers are not shown")
        elif one.pfc:
            empty = sum(
                1 << number for number, size in enumerate(one.buffers_bytes) if one.pfc >> number & 1 and not size
            )
            if empty:
                yield Found(nic, f"priority {priorities(empty)} has PFC and a receive buffer of 0 bytes")
            else:
                yield Fits()


def _reached(machine: Machine) -> Iterator[CheckResult]:
    """A packet without a VLAN tag has no priority in it, and so priority 0, unless DSCP gives it one."""
    shown, net = of_rails(machine), machine.snapshot.net if machine.snapshot is not None else None
    lower = netdevs.lower(machine)
    tagged = {
        name
        for device in (net.devices if net is not None else ())
        if device.kind == _VLAN
        for name in netdevs.below(device.name, lower)
    }
    for nic in roce_rails(machine) if shown else ():
        one = shown.get(nic.name)
        if one is None or one.pfc is None:
            yield Unknown(nic.name, _NOT_SHOWN)
        elif not one.pfc or one.pfc & 1 or one.trusts_dscp or tagged & set(nic.netdevs):
            yield Fits()
        elif one.trusts_dscp is None or nic.virtual_functions:
            yield Unknown(nic.name, "whether its packets are tagged, or their DSCP is trusted, is not shown")
        else:
            said = f"has PFC on {priorities(one.pfc)}, takes the priority from the VLAN tag, and no VLAN is on it"
            yield Found(nic.name, said)


CHECKS: Final[tuple[NodeCheck, ...]] = (
    NodeCheck(
        Check(
            "rail-pfc-differs",
            "warning",
            "network-fabric",
            "PFC on the same priorities of all RoCE rails",
            "Set it alike: `dcb pfc set dev NETDEV prio-pfc …` or `mlnx_qos -i NETDEV --pfc …`, and on the switch.",
        ),
        _DCB,
        _NO_DCB,
        _alike(lambda one: one.pfc, lambda one: f"PFC on {priorities(one.pfc)}"),
    ),
    NodeCheck(
        Check(
            "rail-trust-differs",
            "warning",
            "network-fabric",
            "all RoCE rails take the priority from the same field",
            "Set it alike: `dcb app` entries for DSCP, or `mlnx_qos -i NETDEV --trust dscp`.",
        ),
        _DCB,
        _NO_DCB,
        _alike(lambda one: one.trusts_dscp, lambda one: f"priority by {'DSCP' if one.trusts_dscp else 'VLAN tag'}"),
    ),
    NodeCheck(
        Check(
            "rail-ecn-differs",
            "warning",
            "network-fabric",
            "ECN on the same priorities of all RoCE rails",
            "Set it alike in /sys/class/net/NETDEV/ecn/roce_{np,rp}/enable, or by ROCE_CC_PRIO_MASK_P1 in `mlxconfig`.",
        ),
        "/sys/class/net/*/ecn/roce_{np,rp}/enable",
        "the input is not a capture, or the driver is not NVIDIA's package: the kernel's own shows it to debugfs only",
        _alike(
            lambda one: None if one.ecn_notify is None or one.ecn_react is None else (one.ecn_notify, one.ecn_react),
            lambda one: f"ECN: notifies on {priorities(one.ecn_notify)}; reacts on {priorities(one.ecn_react)}",
        ),
    ),
    NodeCheck(
        Check(
            "pfc-buffer-missing",
            "warning",
            "network-fabric",
            "a receive buffer for each priority that has PFC",
            "Let the driver choose the buffers, or set them: `dcb buffer set dev NETDEV …`, `mlnx_qos --buffer_size`.",
        ),
        _DCB,
        _NO_DCB,
        _buffers,
    ),
    NodeCheck(
        Check(
            "pfc-not-reached",
            "warning",
            "network-fabric",
            "DSCP trusted, or a VLAN, where PFC is on priorities other than 0",
            "Trust DSCP (`dcb app` entries, or `mlnx_qos -i NETDEV --trust dscp`), or send RDMA through a VLAN device.",
        ),
        f"{_DCB}, /sys/class/net/*/uevent",
        _NO_DCB,
        _reached,
    ),
    NodeCheck(
        Check(
            "roce-uncontrolled",
            "info",
            "network-fabric",
            "PFC or ECN on RoCE rails",
            "Set PFC or ECN on NICs and switches alike, unless the fabric controls congestion by itself.",
        ),
        f"{_DCB}, /sys/class/net/*/ecn/roce_rp/enable",
        "one of the two is not shown",
        _controlled,
    ),
)
