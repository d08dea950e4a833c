"""The virtual machine's hardware, as data: what QEMU is told to build is what the tests expect to be seen.

Three NUMA nodes, the last without CPUs; two host bridges of their own; PCIe switches, one below another; look-alikes
of H100 GPUs, ConnectX-7 NICs and Broadcom switches; an SR-IOV NIC; NVMe; and devices on the root bus, near no node.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class Node:
    """A NUMA node."""

    cpus: tuple[int, ...]
    memory_mib: int
    distances: tuple[int, ...]


@dataclass(frozen=True)
class Look:
    """What a QEMU device says it is, in the place of what QEMU would say."""

    vendor: int
    device: int
    pci_class: int
    revision: int = 0
    subsystem: tuple[int, int] | None = None
    generation: int = 5
    width: int = 16


@dataclass(frozen=True)
class Signature:
    """How a QEMU device's config space begins before it is given another look."""

    vendor: int
    device: int
    pci_class: int


@dataclass(frozen=True)
class Function:
    """An endpoint."""

    name: str
    model: str
    """QEMU's name for the device."""
    properties: dict[str, str | int] = field(default_factory=dict)
    backend: tuple[str, ...] = ()
    """Arguments that make what the device stands on."""


@dataclass(frozen=True)
class Port:
    """A root port, or a downstream port of a switch, and what is plugged into it."""

    name: str
    below: "Function | Switch"


@dataclass(frozen=True)
class Switch:
    """An upstream port with downstream ports behind it."""

    name: str
    ports: tuple[Port, ...]


@dataclass(frozen=True)
class Bridge:
    """A host bridge with a root bus of its own."""

    name: str
    bus: int
    node: int
    ports: tuple[Port, ...]


@dataclass(frozen=True)
class ExpectedFunction:
    """Where a function must be found."""

    name: str
    address: str
    path: str
    """What it hangs from, root first, as sysfs nests it."""
    node: int


def gpu(name: str) -> Function:
    """A GPU without any compute: a frame buffer with a large prefetchable BAR."""
    return Function(name, "bochs-display", {"vgamem": "16M"})


def nic(name: str, model: str, station: int) -> Function:
    """A NIC with carrier, alone on its wire, without a ROM to boot from."""
    hub = ("-netdev", f"hubport,id={name}-wire,hubid={station}")
    return Function(name, model, {"netdev": f"{name}-wire", "mac": mac(station), "romfile": ""}, hub)


def mac(station: int) -> str:
    """The MAC address of the machine's n-th NIC."""
    return f"52:54:00:00:00:{station:02x}"


def nvme(name: str) -> Function:
    """An NVMe controller with a namespace of zeros."""
    drive = ("-blockdev", f"driver=null-co,node-name={name}-blocks,size=67108864,read-zeroes=on")
    return Function(name, "nvme", {"drive": f"{name}-blocks", "serial": name}, drive)


NODES: Final = (
    Node(cpus=(0,), memory_mib=768, distances=(10, 21, 31)),
    Node(cpus=(1,), memory_mib=512, distances=(21, 10, 31)),
    Node(cpus=(), memory_mib=256, distances=(31, 31, 10)),
)

BRIDGES: Final = (
    Bridge(
        "bridge0",
        bus=0x20,
        node=0,
        ports=(
            Port(
                "root0",
                Switch(
                    "switch0",
                    (
                        Port("slot0", gpu("gpu0")),
                        Port("slot1", gpu("gpu1")),
                        Port("slot2", nic("cx0", "e1000e", 1)),
                        Port("slot3", nvme("nvme0")),
                    ),
                ),
            ),
            Port("root1", nic("plain0", "virtio-net-pci", 2)),
        ),
    ),
    Bridge(
        "bridge1",
        bus=0x80,
        node=1,
        ports=(
            Port(
                "root2",
                Switch(
                    "switch1",
                    (
                        Port("slot4", gpu("gpu2")),
                        Port("slot5", nic("cx1", "e1000e", 3)),
                        Port("slot6", Switch("switch2", (Port("slot7", gpu("gpu3")),))),
                    ),
                ),
            ),
            Port("root3", nic("sriov0", "igb", 4)),
        ),
    ),
)

#: What is unplugged and plugged in again, and from which slot of a switch: native PCIe hot-plug. Of the NIC, netlink
#: has news too; of the NVMe controller, udev alone.
PLUGGED_NIC: Final = ("slot5", nic("cx1", "e1000e", 3))
PLUGGED_NVME: Final = ("slot3", nvme("nvme0"))

GPU: Final = Look(0x10DE, 0x2330, 0x030200, revision=0xA1, subsystem=(0x10DE, 0x16C1))
CONNECTX: Final = Look(0x15B3, 0x1021, 0x020000, subsystem=(0x15B3, 0x0041))
SWITCH: Final = Look(0x1000, 0xC030, 0x060400)

LOOKS: Final = {
    Signature(0x1234, 0x1111, 0x038000): GPU,
    Signature(0x8086, 0x10D3, 0x020000): CONNECTX,
    Signature(0x104C, 0x8232, 0x060400): SWITCH,
    Signature(0x104C, 0x8233, 0x060400): SWITCH,
}

#: What each QEMU model says it is once it has its look; the other models keep their own.
LOOK_OF: Final = {"bochs-display": GPU, "e1000e": CONNECTX}

#: Virtual functions that the SR-IOV NIC has (QEMU's igb).
VIRTUAL_FUNCTIONS: Final = 7


def functions() -> dict[str, Function]:
    """Every endpoint, by its name."""
    found = {}
    for bridge in BRIDGES:
        for port in _ports(bridge.ports):
            if isinstance(port.below, Function):
                found[port.below.name] = port.below
    return found


def disguised() -> int:
    """How many devices get a look: some endpoints, and every port of every switch."""
    ports = [port for bridge in BRIDGES for port in _ports(bridge.ports)]
    roots = sum(len(bridge.ports) for bridge in BRIDGES)
    switches = sum(isinstance(port.below, Switch) for port in ports)
    return len(ports) - roots + switches + sum(function.model in LOOK_OF for function in functions().values())


def _ports(ports: tuple[Port, ...]) -> Iterator[Port]:
    for port in ports:
        yield port
        if isinstance(port.below, Switch):
            yield from _ports(port.below.ports)


def places() -> dict[str, ExpectedFunction]:
    """Where every bridge, port and endpoint must be found; buses are numbered depth first from the root bus on."""
    found: dict[str, ExpectedFunction] = {}
    for bridge in BRIDGES:
        _place_ports(bridge.ports, bridge.bus, bridge.bus + 1, f"pci0000:{bridge.bus:02x}", bridge.node, found)
    return found


def _place_ports(  # noqa: PLR0913, PLR0917 - where a bus begins, and what is found on the way
    ports: tuple[Port, ...], bus: int, free: int, path: str, node: int, found: dict[str, ExpectedFunction]
) -> int:
    """Places the ports of one bus and all below them; the next free bus number."""
    for slot, port in enumerate(ports):
        place = ExpectedFunction(port.name, f"0000:{bus:02x}:{slot:02x}.0", path, node)
        found[port.name] = place
        below, secondary = f"{path}/{place.address}", free
        free += 1
        address = f"0000:{secondary:02x}:00.0"
        found[port.below.name] = ExpectedFunction(port.below.name, address, below, node)
        if isinstance(port.below, Switch):
            free = _place_ports(port.below.ports, free, free + 1, f"{below}/{address}", node, found)
    return free


def arguments() -> list[str]:
    """The machine as QEMU's arguments, without what carries the tests (its disk and its channel)."""
    cpus = sum(len(node.cpus) for node in NODES)
    memory = sum(node.memory_mib for node in NODES)
    found = ["-machine", "q35", "-smp", f"{cpus},sockets={cpus},cores=1,threads=1", "-m", f"{memory}M"]
    for index, node in enumerate(NODES):
        found += ["-object", f"memory-backend-ram,id=memory{index},size={node.memory_mib}M"]
        found += ["-numa", ",".join((f"node,nodeid={index},memdev=memory{index}", *(f"cpus={n}" for n in node.cpus)))]
    for index, node in enumerate(NODES):
        for other, distance in enumerate(node.distances):
            if other != index:
                found += ["-numa", f"dist,src={index},dst={other},val={distance}"]
    found += ["-device", "intel-iommu,intremap=off"]
    chassis = iter(range(1, 1000))
    for bridge in BRIDGES:
        found += device("pxb-pcie", id=bridge.name, bus="pcie.0", bus_nr=bridge.bus, numa_node=bridge.node)
        for slot, port in enumerate(bridge.ports):
            wide = {"x-speed": "32", "x-width": "16"}
            number = next(chassis)
            where = {"bus": bridge.name, "addr": f"{slot:#x}"}
            found += device("pcie-root-port", id=port.name, chassis=number, slot=slot, **where, **wide)
            found += _below(port, chassis)
    return found


def _below(port: Port, chassis: Iterator[int]) -> list[str]:
    if isinstance(port.below, Function):
        return [*port.below.backend, *endpoint(port.below, port.name)]
    switch = port.below
    found = device("x3130-upstream", id=switch.name, bus=port.name)
    for slot, lower in enumerate(switch.ports):
        number = next(chassis)
        found += device(
            "xio3130-downstream", id=lower.name, bus=switch.name, addr=f"{slot:#x}", chassis=number, slot=number
        )
        found += _below(lower, chassis)
    return found


def endpoint(function: Function, port: str) -> list[str]:
    """The arguments that plug a function into a port."""
    return device(function.model, id=function.name, bus=port, **function.properties)


def device(model: str, **properties: str | int) -> list[str]:
    """One ``-device``."""
    return ["-device", ",".join((model, *(f"{name}={value}" for name, value in properties.items())))]
