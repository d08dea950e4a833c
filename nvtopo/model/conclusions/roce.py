"""Which GID a RoCE or InfiniBand job would use, and what MTU a RoCE port can have."""

from nvtopo.model.records.facts import GidEntry, RdmaPort

_MAPPED_IPV4 = "0000:0000:0000:0000:0000:ffff:"
_LINK_LOCAL = "fe80:"

#: GRH 40 + UDP 8 + BTH 12 + XRC 4 + atomic 28 + ICRC 4 (kernel ``iboe_get_mtu``, include/rdma/ib_addr.h).
_ROCE_HEADERS = 96
_IB_MTUS = (4096, 2048, 1024, 512, 256)


def usable_gid(port: RdmaPort) -> GidEntry | None:
    """The GID by NCCL's rules: on InfiniBand index 0; on RoCE version 2 over IPv4, else over routable IPv6."""
    if port.link_layer == "InfiniBand":
        return next((entry for entry in port.gids if entry.index == 0), None)
    version_2 = [entry for entry in port.gids if entry.type == "RoCE v2"]
    ipv4 = (entry for entry in version_2 if entry.gid.startswith(_MAPPED_IPV4))
    ipv6 = (entry for entry in version_2 if not entry.gid.startswith(_LINK_LOCAL))
    return next(ipv4, None) or next(ipv6, None)


def ucx_gid(port: RdmaPort) -> GidEntry | None:
    """The GID by UCX's rules (``uct_ib_device_select_gid``): version before address family, routable before local."""
    if port.link_layer == "InfiniBand":
        return next((entry for entry in port.gids if entry.index == 0), None)
    if port.link_layer != "Ethernet":
        return None
    return min(port.gids, key=lambda entry: (_ucx_rank(entry), entry.index), default=None)


def _ucx_rank(entry: GidEntry) -> tuple[bool, int]:
    family = 0 if entry.gid.startswith(_MAPPED_IPV4) else 2 if entry.gid.startswith(_LINK_LOCAL) else 1
    return entry.type != "RoCE v2", family


def roce_mtu(netdev_mtu_bytes: int) -> int | None:
    """The largest InfiniBand MTU that the kernel lets a RoCE port use over a netdev of this MTU."""
    return next((mtu for mtu in _IB_MTUS if mtu <= netdev_mtu_bytes - _ROCE_HEADERS), None)
