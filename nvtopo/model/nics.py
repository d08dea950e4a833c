"""NICs, put together from what PCI, netdev and RDMA say of one function."""

from typing import NamedTuple

from msgspec.structs import replace

from nvtopo.model.address import PciAddress
from nvtopo.model.config_space import ACS_REDIRECT
from nvtopo.model.facts import NetDevice, PciDevice, PcieLink, RdmaDevice, RdmaPort
from nvtopo.model.node import Nic, NicPort
from nvtopo.model.roce import ucx_gid, usable_gid
from nvtopo.model.snapshot import Snapshot

MELLANOX = "0x15b3"
DATA_DIRECT_CLASS = "0x0801"

Functions = dict[PciAddress, PciDevice]


class _Named(NamedTuple):
    """A NIC to be: its name, where it stands, and what stands on it."""

    name: str
    address: PciAddress | None
    netdevs: list[NetDevice]
    ports: tuple[NicPort, ...] = ()


def nics(snapshot: Snapshot, pci: Functions) -> tuple[Nic, ...]:
    """One NIC for each PCI function with a netdev or an RDMA device; virtual functions fold into their parent."""
    rdma = snapshot.rdma.devices if snapshot.rdma else ()
    route = snapshot.net.default_route if snapshot.net else None
    on_function = _netdevs_by_function(snapshot, {device.pci_address for device in rdma if device.management})
    by_name = {netdev.name: netdev for netdev in snapshot.net.devices} if snapshot.net else {}
    made = []
    for device in (device for device in rdma if not device.management):
        own = [by_name[name] for name in device.netdevs if name in by_name]
        netdevs = on_function.pop(device.pci_address, own) if device.pci_address else own
        made.append(_rdma_nic(device, netdevs, pci, route))
    made += [
        _nic(_Named(min(netdev.name for netdev in netdevs), address, netdevs), pci, route)
        for address, netdevs in on_function.items()
    ]
    kept = (nic for nic in made if not (nic.pci_address and _is_virtual(pci, nic.pci_address)))
    return tuple(sorted(kept, key=lambda nic: (nic.pci_address or "", nic.name)))


def acs_redirect(path: str, pci: Functions) -> bool | None:
    """Whether any bridge above a device redirects peer traffic; unknown if one that might can't be read."""
    words = [device.acs for name in path.split("/") if (device := pci.get(PciAddress(name))) is not None]
    if any(word is not None and word & ACS_REDIRECT for word in words):
        return True
    return None if not words or None in words else False


def _netdevs_by_function(snapshot: Snapshot, left_out: set[PciAddress | None]) -> dict[PciAddress, list[NetDevice]]:
    found: dict[PciAddress, list[NetDevice]] = {}
    for netdev in snapshot.net.devices if snapshot.net else ():
        if netdev.pci_address is not None and netdev.pci_address not in left_out:
            found.setdefault(netdev.pci_address, []).append(netdev)
    return found


def _is_virtual(pci: Functions, address: PciAddress) -> bool:
    device = pci.get(address)
    return device is not None and device.physfn is not None


def _rdma_nic(device: RdmaDevice, netdevs: list[NetDevice], pci: Functions, route: str | None) -> Nic:
    ports = tuple(_port(port) for port in device.ports)
    nic = _nic(_Named(device.name, device.pci_address, netdevs, ports), pci, route)
    return nic if nic.netdevs else replace(nic, netdevs=tuple(sorted(device.netdevs)))


def _nic(named: _Named, pci: Functions, route: str | None) -> Nic:
    device = pci.get(named.address) if named.address else None
    direct = _data_direct(device, pci)
    where = direct or device
    first = min(named.netdevs, key=lambda netdev: netdev.index) if named.netdevs else None
    return Nic(
        name=named.name,
        pci_address=named.address,
        path=where.path if where else "",
        data_direct=direct.address if direct else None,
        numa_node=where.numa_node if where else None,
        netdevs=tuple(sorted(netdev.name for netdev in named.netdevs)),
        mtu_bytes=first.mtu_bytes if first else None,
        speed_bytes_per_second=first.speed_bytes_per_second if first and not named.ports else None,
        operstate=first.operstate if first else "",
        default_route=_is_default(named.netdevs, route),
        link=_below_its_best(device, pci) if device else None,
        acs_redirect=acs_redirect(where.path, pci) if where else None,
        virtual_functions=sum(1 for other in pci.values() if named.address and other.physfn == named.address),
        ports=named.ports,
    )


def _data_direct(device: PciDevice | None, pci: Functions) -> PciDevice | None:
    """The second function of the same adapter, which shares a switch with a GPU (fixtures/hosts/gb300-nvl72-tray)."""
    if device is None or not device.adapter:
        return None
    return next((other for other in pci.values() if is_data_direct(other) and other.adapter == device.adapter), None)


def is_data_direct(device: PciDevice) -> bool:
    """Whether a function is the second one of a ConnectX-8, through which its data goes."""
    return device.vendor == MELLANOX and device.class_code.startswith(DATA_DIRECT_CLASS)


def _is_default(netdevs: list[NetDevice], route: str | None) -> bool:
    return route is not None and any(route in (netdev.name, netdev.master) for netdev in netdevs)


def _below_its_best(device: PciDevice, pci: Functions) -> PcieLink | None:
    """The function's link, if both it and the port above could do more."""
    link = device.link
    above = pci.get(PciAddress(device.path.rpartition("/")[2]))
    if link is None or above is None or above.link is None:
        return None
    narrow = _less(link.width, link.max_width, above.link.max_width)
    slow = _less(link.generation, link.max_generation, above.link.max_generation)
    return link if narrow or slow else None


def _less(current: int | None, own: int | None, above: int | None) -> bool:
    return current is not None and own is not None and above is not None and current < min(own, above)


def _port(port: RdmaPort) -> NicPort:
    gid, ucx = usable_gid(port), ucx_gid(port)
    return NicPort(
        number=port.number,
        state=port.state,
        link_layer=port.link_layer,
        rate_bytes_per_second=port.rate_bytes_per_second,
        active_mtu_bytes=port.active_mtu_bytes,
        gid_index=None if gid is None else gid.index,
        ucx_gid_index=None if ucx is None or ucx == gid else ucx.index,
    )
