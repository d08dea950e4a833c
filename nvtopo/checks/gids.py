"""GIDs of the RoCE rails: whether a job finds an address on each, and whether one index is right for all."""

from collections.abc import Iterator
from typing import Final

from nvtopo.checks import peers
from nvtopo.checks.check import NODE, CheckResult, Fits, Found, Machine, NodeCheck, Unknown
from nvtopo.findings.finding import Check
from nvtopo.model.conclusions.ports import is_up
from nvtopo.model.records.node import Nic

_ETHERNET: Final = "Ethernet"


def _gids(machine: Machine) -> Iterator[CheckResult]:
    for nic in machine.rails:
        for port in filter(is_up, nic.ports):
            name = f"{nic.name}/{port.number}"
            if not port.link_layer and machine.unread("rdma", f"/{nic.name}/", "link_layer"):
                yield Unknown(name, "its link layer could not be read")
            if port.link_layer != _ETHERNET:
                continue
            if _table_unread(machine, nic):
                yield Unknown(name, "its GID table could not be read")
            elif port.gid_index is None:
                yield Found(name, "has no RoCE v2 GID that routes")
            else:
                yield Fits()


def _table_unread(machine: Machine, nic: Nic) -> bool:
    return machine.unread("rdma", f"/{nic.name}/", "/gid") is not None


def _gid_indices(machine: Machine) -> Iterator[CheckResult]:
    for nic in machine.rails:
        if _table_unread(machine, nic):
            yield Unknown(nic.name, "its GID table could not be read")
    indices = {
        f"{nic.name}/{port.number}": port.gid_index
        for nic in machine.rails
        for port in filter(is_up, nic.ports)
        if port.link_layer == _ETHERNET and port.gid_index is not None
    }
    if len(set(indices.values())) > 1:
        yield Found(NODE, f"the rails use GID indices {peers.counted(indices.values())}")
    elif indices:
        yield Fits()


CHECKS: Final[tuple[NodeCheck, ...]] = (
    NodeCheck(
        Check(
            "roce-gid-missing",
            "warning",
            "network-fabric",
            "a RoCE v2 GID over IPv4, or over IPv6 that is not link-local",
            "Give the netdev an address (`ip address`); NCCL otherwise finds no address that routes.",
        ),
        "/sys/class/infiniband/*/ports/*/{gids,gid_attrs,link_layer}",
        "the GID table can't be read",
        _gids,
    ),
    NodeCheck(
        Check(
            "roce-gid-indices-differ",
            "info",
            "network-fabric",
            "one GID index on all rails",
            "Leave NCCL_IB_GID_INDEX unset: one number can't be right for all rails.",
        ),
        "/sys/class/infiniband/*/ports/*/{gids,gid_attrs,link_layer}",
        "the GID table can't be read",
        _gid_indices,
    ),
)
