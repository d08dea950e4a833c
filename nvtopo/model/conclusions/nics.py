"""NICs, assembled from the PCI, netdev and RDMA facts of each function."""

import re
from typing import NamedTuple

from msgspec.structs import replace

from nvtopo.model.conclusions.front import front_netdevs
from nvtopo.model.conclusions.pcie import Functions, below_best, link_at
from nvtopo.model.conclusions.presence import USERSPACE_DRIVERS
from nvtopo.model.conclusions.roce import ucx_gid, usable_gid
from nvtopo.model.formats.address import PciAddress
from nvtopo.model.formats.config_space import ACS_REDIRECT
from nvtopo.model.records.facts import NetDevice, PciDevice, PcieLink, RdmaDevice, RdmaPort
from nvtopo.model.records.node import Nic, NicPort
from nvtopo.model.records.snapshot import Snapshot

MELLANOX = "0x15b3"
DATA_DIRECT_CLASS = "0x0801"
#: Ethernet and InfiniBand controllers; not wireless ones.
_NIC_CLASSES = ("0x0200", "0x0207")
_NETNS = "netns"
NO_DRIVER = "no-driver"
NO_DEVICE = "no-device"
_OF_HOST = r"pf\d+hpf|c[1-9]\d*pf\d+"


class _Named(NamedTuple):
    """The parts of a NIC: its name, PCI address, network devices and ports."""

    name: str
    address: PciAddress | None
    netdevs: list[NetDevice]
    ports: tuple[NicPort, ...] = ()


def nics(snapshot: Snapshot, pci: Functions) -> tuple[Nic, ...]:
    """One NIC for each PCI function with a netdev or an RDMA device, here or where we can't see it.

    Virtual functions fold into their parent. PCI decides what exists: a function whose devices are in another network
    namespace, that a userspace driver holds, or whose driver made none, is a NIC of unknown values.
    """
    rdma = snapshot.rdma.devices if snapshot.rdma else ()
    front = front_netdevs(snapshot.net)
    on_function = _netdevs_by_function(snapshot, {device.pci_address for device in rdma if device.management})
    by_name = {netdev.name: netdev for netdev in snapshot.net.devices} if snapshot.net else {}
    for address, first in _lags(snapshot).items():
        on_function.setdefault(first, []).extend(on_function.pop(address, ()))
    made = []
    for device in (device for device in rdma if not device.management):
        own = [by_name[name] for name in device.netdevs if name in by_name]
        netdevs = on_function.pop(device.pci_address, own) if device.pci_address else own
        made.append(_rdma_nic(device, netdevs, pci, front))
    made += [
        _nic(_Named(_first_name(netdevs), address, netdevs), pci, front) for address, netdevs in on_function.items()
    ]
    seen = {nic.pci_address for nic in made} | {device.pci_address for device in rdma if device.management}
    made += [_hidden_nic(device, pci) for address, device in pci.items() if address not in seen and hidden_by(device)]
    kept = (nic for nic in made if not (nic.pci_address and _is_virtual(pci, nic.pci_address)))
    return tuple(sorted(kept, key=lambda nic: (nic.pci_address or "", nic.name)))


def _first_name(netdevs: list[NetDevice]) -> str:
    """The first of a NIC's own network devices; of a representor's only where there is no other."""
    return min(netdevs, key=lambda netdev: (bool(netdev.represents), netdev.name)).name


def hidden_by(device: PciDevice) -> str:
    """What keeps a NIC's devices from us, as ``Nic.hidden_by`` has it; empty where nothing does."""
    if not device.class_code.startswith(_NIC_CLASSES) or device.physfn is not None:
        return ""
    if device.driver in USERSPACE_DRIVERS:
        return device.driver
    if device.netdevs_elsewhere:
        return _NETNS
    return (NO_DEVICE if device.driver else NO_DRIVER) if device.no_devices else ""


def model_of(device: PciDevice) -> str:
    """``15b3:1021`` from a function's vendor and device; empty where either is not known."""
    if not device.vendor or not device.device:
        return ""
    return f"{device.vendor.removeprefix('0x')}:{device.device.removeprefix('0x')}"


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


def _lags(snapshot: Snapshot) -> dict[PciAddress, PciAddress]:
    """Function → that of its card's RDMA device, where a bond of both has one device for both (RoCE LAG)."""
    rdma = {device.pci_address for device in (snapshot.rdma.devices if snapshot.rdma else ())}
    bonded = [
        (device.pci_address, (device.master, device.pci_address.rpartition(".")[0]))
        for device in (snapshot.net.devices if snapshot.net else ())
        if device.pci_address is not None and device.master is not None and not device.represents
    ]
    masters = {bond: address for address, bond in bonded if address in rdma}
    return {address: masters[bond] for address, bond in bonded if address not in rdma and bond in masters}


def _is_virtual(pci: Functions, address: PciAddress) -> bool:
    device = pci.get(address)
    return device is not None and device.physfn is not None


def _hidden_nic(device: PciDevice, pci: Functions) -> Nic:
    nic = _nic(_Named(device.address, device.address, []), pci, frozenset())
    return replace(nic, hidden_by=hidden_by(device))


def _rdma_nic(device: RdmaDevice, netdevs: list[NetDevice], pci: Functions, front: frozenset[str]) -> Nic:
    ports = tuple(_port(port) for port in device.ports)
    nic = _nic(_Named(device.name, device.pci_address, netdevs, ports), pci, front)
    nic = replace(nic, firmware=device.firmware, psid=device.psid)
    if any(port.link_layer == "InfiniBand" for port in ports):
        nic = replace(nic, guid=device.node_guid.replace(":", "").removeprefix("0x").lower())
    return nic if netdevs else replace(nic, netdevs=tuple(sorted(device.netdevs)))


def _nic(named: _Named, pci: Functions, front: frozenset[str]) -> Nic:
    device = pci.get(named.address) if named.address else None
    direct = _data_direct(device, pci)
    where = direct or device
    netdevs = [netdev for netdev in named.netdevs if not netdev.represents]
    first = min(netdevs, key=lambda netdev: netdev.index) if netdevs else None
    return Nic(
        name=named.name,
        pci_address=named.address,
        path=where.path if where else "",
        model=(model_of(device) or None) if device else None,
        data_direct=direct.address if direct else None,
        numa_node=where.numa_node if where else None,
        netdevs=tuple(sorted(netdev.name for netdev in netdevs)),
        mtu_bytes=first.mtu_bytes if first else None,
        speed_bytes_per_second=first.speed_bytes_per_second if first and not named.ports else None,
        operstate=first.operstate if first else "",
        default_route=any(netdev.name in front for netdev in named.netdevs),
        link=_below_its_best(device, pci) if device else None,
        acs_redirect=acs_redirect(where.path, pci) if where else None,
        representors=len(named.netdevs) - len(netdevs),
        eswitch_mode=next((netdev.eswitch_mode for netdev in netdevs if netdev.eswitch_mode), ""),
        dpu_mode="dpu" if any(_is_of_host(netdev) for netdev in named.netdevs) else "",
        virtual_functions=sum(1 for other in pci.values() if named.address and other.physfn == named.address),
        ports=named.ports,
    )


def _is_of_host(netdev: NetDevice) -> bool:
    """Whether it stands for a physical function of the machine that a DPU is in: another controller's, for upstream."""
    return re.fullmatch(_OF_HOST, netdev.represents) is not None


def _data_direct(device: PciDevice | None, pci: Functions) -> PciDevice | None:
    """The second function of the same adapter, which shares a switch with a GPU (fixtures/hosts/gb300-nvl72-tray)."""
    if device is None or not device.adapter:
        return None
    return next((other for other in pci.values() if is_data_direct(other) and other.adapter == device.adapter), None)


def is_data_direct(device: PciDevice) -> bool:
    """Whether a function is the second one of a ConnectX-8, through which its data goes."""
    return device.vendor == MELLANOX and device.class_code.startswith(DATA_DIRECT_CLASS)


def _below_its_best(device: PciDevice, pci: Functions) -> PcieLink | None:
    """The function's link, if both it and the port above support more lanes or a higher generation."""
    link = link_at(device.address, pci)
    return link if below_best(link) else None


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
