"""Which ports of the rails should be up. Like is compared with like: the same port of NICs of one model.

A HCA may have ports that a cluster uses on no machine (fixtures/hosts/cx8-dual-port): port 2 is unused if it is down
on every rail NIC of the model, while another port of the model is up.
"""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from nvtopo.model.conclusions.nics import NO_DEVICE, NO_DRIVER
from nvtopo.model.records.node import Nic, NicPort

#: States of a port with a working link. The empty state is one that is not known.
_ACTIVE: Final = frozenset({"ACTIVE", "ACTIVE_DEFER"})
_UP: Final = _ACTIVE | {""}
#: ``Nic.hidden_by`` → what it lacks. A rail that is not hidden and has no port has no RDMA device.
_LACKING: Final[Mapping[str, str]] = MappingProxyType({NO_DRIVER: "driver", NO_DEVICE: "device", "": "rdma"})


def is_up(port: NicPort) -> bool:
    """Whether a port is up, or may be: its state is not known."""
    return port.state in _UP


def unused(rails: Iterable[Nic]) -> dict[str, frozenset[int]]:
    """Rail NIC → the numbers of its ports that are unused by design; only NICs that have such ports."""
    by_model: dict[str | None, list[Nic]] = {}
    for nic in rails:
        by_model.setdefault(nic.model, []).append(nic)
    found = {}
    for siblings in by_model.values():
        used = {port.number for nic in siblings for port in nic.ports if is_up(port)}
        for nic in siblings:
            idle = frozenset(port.number for port in nic.ports) - used
            if used and idle:
                found[nic.name] = idle
    return found


def down(nic: Nic, idle: Collection[int]) -> tuple[int, ...]:
    """Numbers of a rail NIC's ports that should be up and are not; ``idle`` are those unused by design."""
    return tuple(port.number for port in nic.ports if not is_up(port) and port.number not in idle)


def lacking(nic: Nic) -> str:
    """What a rail lacks for having ports: a ``driver``, its ``device``, or ``rdma``; empty if it may have some.

    Ports that are elsewhere, in another network namespace or with a userspace driver, are not lacking.
    """
    return _LACKING.get(nic.hidden_by, "") if nic.model and not nic.ports else ""


def none_up(rails: Collection[Nic]) -> bool:
    """Whether there are rails, and no port of any is up."""
    if any(not nic.ports and not lacking(nic) for nic in rails):
        return False
    return bool(rails) and not any(is_up(port) for nic in rails for port in nic.ports)


def none_known(rails: Collection[Nic]) -> bool:
    """Whether no port of any rail is known to be up, and the state of some is not known."""
    states = {port.state for nic in rails for port in nic.ports}
    return "" in states and not states & _ACTIVE


def rail_nics(nics: Iterable[Nic], roles: Mapping[str, str]) -> list[Nic]:
    """The NICs of the compute network."""
    return [nic for nic in nics if roles.get(nic.name) == "compute"]
