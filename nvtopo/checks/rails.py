"""The rails: whether their NICs, ports, rates and MTUs are alike, and whether a job finds an address on each."""

from collections.abc import Callable, Hashable, Iterator
from typing import Final

from nvtopo.checks import peers
from nvtopo.checks.check import NODE, CheckResult, Fits, Found, Machine, NodeCheck, Unknown
from nvtopo.findings.finding import Check, Severity
from nvtopo.model.conclusions.nic_models import port_bytes_per_second
from nvtopo.model.conclusions.nics import NO_DEVICE, NO_DRIVER
from nvtopo.model.conclusions.ports import is_up
from nvtopo.model.conclusions.roce import roce_mtu
from nvtopo.model.records.node import Nic, NicPort

_GIGABIT: Final = 1_000_000_000 // 8
_ETHERNET: Final = "Ethernet"
_LINK_LAYER: Final = "/sys/class/infiniband/*/ports/*/link_layer"
_NOT_VERBS: Final = "verbs were not asked: /dev/infiniband is not there, or can't be opened"


def _rate(value: int) -> str:
    return f"{value / _GIGABIT:g} Gb/s"


def _up(nic: Nic) -> list[NicPort]:
    return [port for port in nic.ports if is_up(port)]


def _alike(
    machine: Machine,
    of: Callable[[Nic], Hashable | None],
    said: Callable[[object], str],
    is_due: Callable[[Nic], bool] = lambda _: True,
) -> Iterator[CheckResult]:
    """Whether all rails have the same value, of those that should have one.

    With no majority nobody is the odd one, and it is only worth knowing.
    """
    values = {nic.name: value for nic in machine.rails if (value := of(nic)) is not None}
    if not machine.rails:
        return
    for nic in machine.rails if values else ():
        if nic.name not in values and is_due(nic):
            yield Unknown(nic.name, "it does not state it")
    if not values:
        yield Unknown(NODE, "no rail states it")
    elif len(set(values.values())) == 1:
        yield Fits()
    elif odd := peers.odd(values):
        most = said(peers.common(values.values()))
        for name, value in odd.items():
            yield Found(name, f"{name} has {said(value)}, and most rails have {most}", expected=most)
    else:
        yield Found(NODE, f"the rails have {peers.counted(map(said, values.values()))}", severity="info")


def _mtus(machine: Machine) -> Iterator[CheckResult]:
    """InfiniBand needs no netdev."""
    due = {nic.name for nic in machine.rails if nic.netdevs or any(port.link_layer == _ETHERNET for port in nic.ports)}
    if due:
        yield from _alike(
            machine, lambda nic: nic.mtu_bytes, lambda value: f"an MTU of {value}", lambda nic: nic.name in due
        )


def _models(machine: Machine) -> Iterator[CheckResult]:
    yield from _alike(machine, lambda nic: nic.model, lambda value: f"PCI model {value}")


def _firmware(machine: Machine) -> Iterator[CheckResult]:
    """NICs of one model only: another model has another numbering."""
    if not machine.rails:
        return
    if machine.snapshot is None or machine.snapshot.rdma is None:
        yield Unknown(NODE, "the input has no firmware versions")
        return
    versions = {device.name: device.firmware for device in machine.snapshot.rdma.devices if device.firmware}
    if not any(nic.name in versions for nic in machine.rails):
        yield Unknown(NODE, "no rail states its firmware")
    else:
        silent = [nic.name for nic in machine.rails if nic.ports and nic.name not in versions]
        yield from (Unknown(name, "it does not state its firmware") for name in silent)
    for model in sorted({nic.model for nic in machine.rails}, key=str):
        siblings = [nic.name for nic in machine.rails if nic.model == model and nic.name in versions]
        found = {name: versions[name] for name in siblings}
        if len(set(found.values())) > 1:
            yield Found(NODE, f"NICs of model {model} have firmware {peers.counted(found.values())}")
        elif found:
            yield Fits()


def _rates(machine: Machine) -> Iterator[CheckResult]:
    """Each port that is up against the best that its model can do, else against the other rails."""
    for nic in machine.rails:
        silent = [port for port in nic.ports if not port.state]
        yield from (Unknown(f"{nic.name}/{port.number}", "whether the port is active is not shown") for port in silent)
        best = port_bytes_per_second(nic.model)
        others = [
            port.rate_bytes_per_second
            for other in machine.rails
            if other.model == nic.model
            for port in _up(other)
            if port.rate_bytes_per_second
        ]
        due = peers.common(others) or max(others, default=0)
        for port in _up(nic):
            rate = port.rate_bytes_per_second
            name = f"{nic.name}/{port.number}"
            if rate is None:
                yield Unknown(name, "the port states no rate")
            elif rate < due:
                yield Found(name, f"runs at {_rate(rate)}, and most ports of its model at {_rate(due)}")
            elif best is not None and rate * len(_up(nic)) < best:
                yield Found(
                    name, f"runs at {_rate(rate)}, and its model can do {_rate(best)}", "info", expected=_rate(best)
                )
            else:
                yield Fits()


def _rdma_mtus(machine: Machine) -> Iterator[CheckResult]:
    """The active MTU that verbs state, against what the netdev's MTU allows (kernel: ``iboe_get_mtu``)."""
    for nic in machine.rails:
        for port in _up(nic):
            if port.link_layer != _ETHERNET or nic.mtu_bytes is None:
                continue
            name, due = f"{nic.name}/{port.number}", roce_mtu(nic.mtu_bytes)
            if port.active_mtu_bytes is None:
                yield Unknown(name, _NOT_VERBS)
            elif due is not None and port.active_mtu_bytes < due:
                yield Found(
                    name,
                    f"uses an RDMA MTU of {port.active_mtu_bytes}, and its MTU of {nic.mtu_bytes} allows {due}",
                    expected=f"an RDMA MTU of {due}",
                )
            else:
                yield Fits()


def _small_mtus(machine: Machine) -> Iterator[CheckResult]:
    """RoCE over a netdev with the default MTU sends packets of 1024 bytes."""
    for nic in machine.rails:
        if not any(port.link_layer == _ETHERNET for port in _up(nic)):
            continue
        if nic.mtu_bytes is None:
            yield Unknown(
                nic.name,
                "the MTU of its netdev is not shown" if nic.netdevs else "it has no netdev in this network namespace",
            )
            continue
        due = roce_mtu(nic.mtu_bytes) or 0
        if due < 4096:  # noqa: PLR2004 - the largest MTU of InfiniBand
            yield Found(nic.name, f"has an MTU of {nic.mtu_bytes}, which limits RDMA packets to {due} bytes")
        else:
            yield Fits()


def _hidden(machine: Machine) -> Iterator[CheckResult]:
    for nic in machine.all_rails:
        if nic.hidden_by == "netns":
            yield Found(nic.name, "its devices are in another network namespace: its ports can't be judged from here")
        elif nic.hidden_by in (NO_DRIVER, NO_DEVICE):
            yield Fits()  # which is a check of its own: rail-without-ports
        elif nic.hidden_by:
            yield Found(nic.name, f"{nic.hidden_by} holds it: its ports can't be judged from here")
        else:
            yield Fits()


def _check(name: str, severity: Severity, expected: str, remedy: str) -> Check:
    return Check(name, severity, "network-fabric", expected, remedy)


CHECKS: Final[tuple[NodeCheck, ...]] = (
    NodeCheck(
        _check(
            "rail-mtus-differ",
            "warning",
            "one MTU on all rails",
            "Set the MTU of the named netdev (netplan, NetworkManager, SR-IOV policy) as the other rails have it.",
        ),
        "/sys/class/net/*/mtu",
        "no rail has a netdev in this network namespace",
        _mtus,
    ),
    NodeCheck(
        _check(
            "rail-mtu-small",
            "info",
            "an MTU that carries RDMA packets of 4096 bytes: 4200 or more",
            "Raise the MTU on NICs and switches alike, or leave it if the whole network has it.",
        ),
        f"/sys/class/net/*/mtu, {_LINK_LAYER}",
        "no rail has a netdev in this network namespace",
        _small_mtus,
    ),
    NodeCheck(
        _check(
            "rdma-mtu-below-netdev",
            "warning",
            "the RDMA MTU that the netdev allows",
            "Take the RDMA link down and up after the MTU was changed; look at `ibv_devinfo`.",
        ),
        f"ibv_query_port, /sys/class/net/*/mtu, {_LINK_LAYER}",
        "verbs were not asked",
        _rdma_mtus,
    ),
    NodeCheck(
        _check(
            "rail-models-differ",
            "info",
            "one model of NIC on all rails",
            "Nothing is to be done if it was bought so; a collective runs at the pace of the slowest.",
        ),
        "/sys/bus/pci/devices/*/{vendor,device}",
        "the input does not show PCI",
        _models,
    ),
    NodeCheck(
        _check(
            "rail-firmware-differs",
            "warning",
            "one firmware on all rails of one model",
            "Flash the NICs alike (`mlxfwmanager`), then reset them or reboot.",
        ),
        "/sys/class/infiniband/*/fw_ver",
        "the input is not a capture",
        _firmware,
    ),
    NodeCheck(
        _check(
            "rail-rate-low",
            "warning",
            "the rate that the other ports of its model have",
            "Look at the cable and the switch's port: `mlxlink -d DEVICE`, `ethtool NETDEV`.",
        ),
        "/sys/class/infiniband/*/ports/*/rate",
        "the port states no rate",
        _rates,
    ),
    NodeCheck(
        _check(
            "rail-hidden",
            "info",
            "rails that can be seen from here",
            "Ask from the network namespace that has them.",
        ),
        "/sys/bus/pci/devices/*/{driver,net}",
        "the PCI functions could not be read",
        _hidden,
    ),
)
