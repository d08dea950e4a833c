"""Network devices and RDMA devices."""

from typing import Annotated, Literal

from msgspec import Meta, field

from nvtopo.model.formats import limits
from nvtopo.model.formats.address import PciAddress
from nvtopo.model.records.record import Bytes, Count, Name, Record, ShortWord, Small


class NetDevice(Record, frozen=True, kw_only=True):
    """One ``/sys/class/net/<name>`` of the network namespace we run in."""

    name: Name
    index: Count
    """``ifindex``."""
    mtu_bytes: Bytes | None = None
    operstate: ShortWord = ""
    speed_bytes_per_second: Bytes | None = None
    """``speed``, converted; absent where the link is down or the driver does not say."""
    pci_address: PciAddress | None = field(default=None, name="pciBusID")
    """The PCI function it stands on; absent for virtual devices."""
    master: Name | None = None
    """The bond or bridge it belongs to."""
    kind: Name = ""
    """``DEVTYPE`` of its uevent: ``bond``, ``vlan``, ``bridge``, …; empty for a plain NIC."""
    represents: Name = ""
    """``phys_port_name`` of a representor: ``pf0hpf``, ``pf0vf3``, ``pf0sf88``; empty for what is none."""
    eswitch_mode: Name = ""
    """``compat/devlink/mode`` of NVIDIA's driver package: ``legacy`` or ``switchdev``; empty without that file."""
    lower: Annotated[tuple[Name, ...], Meta(max_length=limits.MOST_FUNCTIONS)] = ()
    """The devices it stands on, ``lower_*``: of a VLAN its parent, of a bond its members."""


class Neighbor(Record, frozen=True, kw_only=True):
    """Who announced itself to a port of this host, by LLDP."""

    netdev: Name
    """The port that heard it."""
    chassis: Name
    """Kind and value of its chassis ID: ``mac 02:00:00:00:07:00``."""
    port: Name
    """Its own port, as it calls it."""
    port_kind: ShortWord = ""
    """``ifname``, ``mac``, ``local``, …"""
    name: Name = ""
    """Its system's name."""
    system: Name = ""
    """Its system's description."""
    port_description: Name = ""
    """What it says of its port."""
    capabilities: Annotated[tuple[ShortWord, ...], Meta(max_length=8)] = ()
    """Those that are on: ``bridge``, ``router``, ``station``, …"""


class LldpFacts(Record, frozen=True, kw_only=True):
    """What the agent hears by LLDP."""

    neighbors: Annotated[tuple[Neighbor, ...], Meta(max_length=limits.MOST_NEIGHBORS)] = ()


class NetFacts(Record, frozen=True, kw_only=True):
    """Network devices."""

    devices: Annotated[tuple[NetDevice, ...], Meta(max_length=limits.MOST_FUNCTIONS)] = ()
    default_route: Name | None = None
    """The device of the IPv4 default route with the least metric, ``/proc/net/route``."""
    default_route_ipv6: Name | None = None
    """The device of the IPv6 default route with the least metric, ``/proc/net/ipv6_route``."""


class GidEntry(Record, frozen=True, kw_only=True):
    """One filled row of a port's GID table."""

    index: Count
    gid: ShortWord
    """``gids/<index>``, eight groups of four digits."""
    type: Literal["IB/RoCE v1", "RoCE v2"] | None = None
    """``gid_attrs/types/<index>``."""
    netdev: Name | None = None
    """``gid_attrs/ndevs/<index>``."""


class RdmaPort(Record, frozen=True, kw_only=True):
    """One ``/sys/class/infiniband/<device>/ports/<number>``."""

    number: Small
    state: ShortWord = ""
    """``state`` without its number: ACTIVE, DOWN, …"""
    physical_state: ShortWord = ""
    """``phys_state`` without its number: LinkUp, Polling, …"""
    link_layer: ShortWord = ""
    """InfiniBand or Ethernet; empty for EFA, which is neither."""
    rate_bytes_per_second: Bytes | None = None
    """``rate``, converted. Of a port that is down it is the down-rate, not what the port could do."""
    active_mtu_bytes: Bytes | None = None
    """Only verbs know it; absent where they were not asked."""
    gids: Annotated[tuple[GidEntry, ...], Meta(max_length=limits.MOST_GIDS)] = ()


class RdmaDevice(Record, frozen=True, kw_only=True):
    """One ``/sys/class/infiniband/<name>``."""

    name: Name
    pci_address: PciAddress | None = field(default=None, name="pciBusID")
    node_guid: ShortWord = ""
    firmware: Name = ""
    """``fw_ver``."""
    psid: Name = ""
    """``board_id``: the PSID of an NVIDIA adapter, which names its board and the firmware made for it."""
    netdevs: Annotated[tuple[Name, ...], Meta(max_length=limits.MOST_NETDEVS)] = ()
    """``device/net/*``."""
    ports: Annotated[tuple[RdmaPort, ...], Meta(max_length=limits.MOST_PORTS)] = ()
    management: bool = False
    """A GPU board's own function that manages its NVSwitches: no NIC for traffic (VPD ``SMDL=SW_MNG``, or board id)."""


class RdmaFacts(Record, frozen=True, kw_only=True):
    """RDMA devices."""

    devices: Annotated[tuple[RdmaDevice, ...], Meta(max_length=limits.MOST_RDMA_DEVICES)] = ()


class NetQos(Record, frozen=True, kw_only=True):
    """How one network device treats priorities; absent what neither the kernel nor the driver's package shows."""

    netdev: Name
    pfc: Small | None = None
    """Priorities with priority flow control, a bit for each: ``DCB_ATTR_IEEE_PFC``."""
    trusts_dscp: bool | None = None
    """Whether the priority is taken from a packet's DSCP, and not from its VLAN tag: ``DCB_ATTR_IEEE_APP_TABLE``."""
    buffers_bytes: Annotated[tuple[Bytes, ...], Meta(max_length=8)] = ()
    """For each priority the size of the receive buffer that it uses: ``DCB_ATTR_DCB_BUFFER``."""
    ecn_notify: Small | None = None
    """Priorities whose marked packets are answered by congestion notifications, a bit for each: ``ecn/roce_np``."""
    ecn_react: Small | None = None
    """Priorities that slow down when notified, a bit for each: ``ecn/roce_rp``."""


class QosFacts(Record, frozen=True, kw_only=True):
    """Flow control and congestion control of network devices that stand on a PCI function."""

    devices: Annotated[tuple[NetQos, ...], Meta(max_length=limits.MOST_RDMA_DEVICES)] = ()
