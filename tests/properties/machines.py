"""Machines as hypothesis draws them: PCIe trees, NUMA nodes, GPUs with NVLinks of every kind, NICs, drives."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Final

from hypothesis import strategies as st

from nvtopo.model.formats.address import PciAddress
from nvtopo.model.records.facts import (
    GpuFabric,
    GpuFacts,
    HostFacts,
    NetDevice,
    NetFacts,
    NumaFacts,
    NumaNode,
    NvmeDevice,
    NvmlFacts,
    PciDevice,
    PcieLink,
    PciFacts,
    RdmaDevice,
    RdmaFacts,
    RdmaPort,
    StorageFacts,
)
from nvtopo.model.records.nvlinks import NvLink
from nvtopo.model.records.snapshot import VERSION, Snapshot

Draw = Callable[[st.SearchStrategy[Any]], Any]

_CLASSES: Final = {"gpu": ("0x030200", "0x10de"), "nic": ("0x020000", "0x15b3"), "nvme": ("0x010802", "0x144d")}
_STATES: Final = ("active", "active", "active", "sleep", "inactive", "traffic-disabled", None)
_RATES: Final = (None, 25_000_000_000, 26_562_000_000, 53_125_000_000)
#: As the kernel would have them; and as a file from elsewhere could.
SANE: Final = st.from_regex(r"[a-z][a-z0-9_]{0,11}", fullmatch=True)
WILD: Final = st.text(min_size=1, max_size=12)


@dataclass
class _Bus:
    """Hands out addresses, and keeps what was put there."""

    next_bus: int = 1
    functions: list[PciDevice] = field(default_factory=list)

    def address(self) -> PciAddress:
        self.next_bus += 1
        return PciAddress(f"{self.next_bus >> 8:04x}:{self.next_bus & 0xFF:02x}:00.0")

    def put(self, path: str, class_code: str, vendor: str, numa: int | None, link: PcieLink | None) -> PciDevice:
        device = PciDevice(
            address=self.address(), path=path, class_code=class_code, vendor=vendor, numa_node=numa, link=link
        )
        self.functions.append(device)
        return device


@st.composite
def snapshots(draw: Draw, names: st.SearchStrategy[str] = SANE, *, hidden: bool = True) -> Snapshot:
    """A machine; ``hidden`` lets it have what a matrix or an NCCL file can't say: MIG, a fabric that is not ready."""
    nodes = draw(st.integers(1, 4))
    bus = _Bus()
    devices = [
        (kind, device)
        for root in range(draw(st.integers(1, 4)))
        for kind, device in _root(draw, bus, f"pci{root:04x}:00", draw(_numa(nodes)))
    ]
    gpus = [device for kind, device in devices if kind == "gpu"]
    nics = [device for kind, device in devices if kind == "nic"]
    rdma, net = _nics(draw, nics, names)
    return Snapshot(
        capture=VERSION,
        host=HostFacts(name="drawn", architecture=draw(st.sampled_from(("x86_64", "aarch64", "riscv64"))), product="x"),
        numa=NumaFacts(nodes=tuple(_node(index) for index in range(nodes))),
        pci=PciFacts(devices=tuple(bus.functions)),
        net=net,
        rdma=rdma,
        storage=_drives([device for kind, device in devices if kind == "nvme"]),
        nvml=_nvml(draw, gpus, names, hidden=hidden) if gpus else None,
    )


def _numa(nodes: int) -> st.SearchStrategy[int | None]:
    return st.one_of(st.integers(0, nodes - 1), st.just(0), st.none())


def _node(index: int) -> NumaNode:
    return NumaNode(index=index, cpus=f"{index * 8}-{index * 8 + 7}", memory_bytes=(index + 1) << 30)


def _link(draw: Draw) -> PcieLink | None:
    if draw(st.booleans()):
        return None
    width, generation = draw(st.sampled_from((1, 4, 8, 16))), draw(st.integers(1, 6))
    return PcieLink(generation=draw(st.integers(1, generation)), width=width, max_generation=generation, max_width=16)


def _root(draw: Draw, bus: _Bus, root: str, numa: int | None) -> Iterator[tuple[str, PciDevice]]:
    for _ in range(draw(st.integers(0, 3))):
        port = bus.put(root, "0x060400", "0x8086", numa, None)
        below = f"{root}/{port.address}"
        yield from _switch(draw, bus, below, numa, 2) if draw(st.booleans()) else _endpoint(draw, bus, below, numa)


def _switch(draw: Draw, bus: _Bus, path: str, numa: int | None, depth: int) -> Iterator[tuple[str, PciDevice]]:
    upstream = bus.put(path, "0x060400", "0x1000", numa, _link(draw))
    for _ in range(draw(st.integers(1, 3))):
        downstream = bus.put(f"{path}/{upstream.address}", "0x060400", "0x1000", numa, None)
        below = f"{path}/{upstream.address}/{downstream.address}"
        deeper = depth > 1 and draw(st.integers(0, 3)) == 0
        yield from _switch(draw, bus, below, numa, depth - 1) if deeper else _endpoint(draw, bus, below, numa)


def _endpoint(draw: Draw, bus: _Bus, path: str, numa: int | None) -> Iterator[tuple[str, PciDevice]]:
    kind = draw(st.sampled_from(("gpu", "gpu", "nic", "nic", "nvme")))
    yield kind, bus.put(path, *_CLASSES[kind], numa, _link(draw))


def _nics(draw: Draw, functions: list[PciDevice], names: st.SearchStrategy[str]) -> tuple[RdmaFacts, NetFacts]:
    called = draw(st.lists(names, min_size=len(functions), max_size=len(functions), unique=True))
    devices, netdevs = [], []
    for index, (name, function) in enumerate(zip(called, functions, strict=True)):
        if draw(st.integers(0, 3)):
            layer = draw(st.sampled_from(("InfiniBand", "Ethernet")))
            port = RdmaPort(
                number=1,
                state=draw(st.sampled_from(("ACTIVE", "ACTIVE", "DOWN"))),
                link_layer=layer,
                rate_bytes_per_second=50_000_000_000,
            )
            devices.append(RdmaDevice(name=name, pci_address=function.address, ports=(port,)))
        else:
            mtu = draw(st.sampled_from((1500, 9000, None)))
            netdevs.append(NetDevice(name=name, index=index, mtu_bytes=mtu, pci_address=function.address))
    return RdmaFacts(devices=tuple(devices)), NetFacts(devices=tuple(netdevs))


def _drives(functions: list[PciDevice]) -> StorageFacts:
    nvmes = (NvmeDevice(name=f"nvme{index}", pci_address=device.address) for index, device in enumerate(functions))
    return StorageFacts(nvmes=tuple(nvmes))


def _nvml(draw: Draw, functions: list[PciDevice], names: st.SearchStrategy[str], *, hidden: bool) -> NvmlFacts:
    order = draw(st.permutations(range(len(functions))))
    links = _nvlinks(draw, functions)
    states: tuple[Any, ...] = ("not-supported", "completed", "in-progress") if hidden else ("not-supported",)
    fabric = GpuFabric(state=draw(st.sampled_from(states)))
    gpus = [
        GpuFacts(
            index=index,
            uuid=f"GPU-{position:08x}",
            name=draw(names),
            pci_address=functions[position].address,
            mig=draw(st.sampled_from((None, False, False, hidden))) or None,
            link=functions[position].link,
            nvlink_count=len(links[position]) or None,
            nvlinks=tuple(links[position]),
            fabric=fabric,
            memory_numa_node=draw(st.one_of(st.none(), st.integers(0, 40))),
            c2c_links=draw(st.sampled_from((None, 5))),
            c2c_bytes_per_second=44_712_000_000,
        )
        for index, position in enumerate(order)
    ]
    return NvmlFacts(driver_version="580.1", gpus=tuple(gpus))


def _nvlinks(draw: Draw, functions: list[PciDevice]) -> list[list[NvLink]]:
    """None at all; to switches, in sight or hidden; or wired between GPUs."""
    kind = draw(st.sampled_from(("none", "switch", "switch", "wired", "wired")))
    links: list[list[NvLink]] = [[] for _ in functions]
    rate = draw(st.sampled_from(_RATES))
    if kind == "switch":
        switches = draw(st.sampled_from(((), ("00ff:01:00.0", "00ff:02:00.0"))))
        for own in links:
            for number in range(draw(st.sampled_from((4, 4, 18)))):
                address = PciAddress(switches[number % 2]) if switches else None
                own.append(_nvlink(draw, number, "switch", address, rate))
    if kind == "wired":
        for one, other in combinations(range(min(len(functions), 6)), 2):
            for _ in range(draw(st.sampled_from((0, 1, 2, 4)))):
                state = draw(st.sampled_from(_STATES))
                for mine, far in ((one, other), (other, one)):
                    link = NvLink(
                        link=len(links[mine]),
                        state=state,
                        version="4.0",
                        bytes_per_second=rate,
                        remote="gpu",
                        remote_address=functions[far].address,
                    )
                    links[mine].append(link)
    return links


def _nvlink(draw: Draw, number: int, remote: Any, address: PciAddress | None, rate: int | None) -> NvLink:
    return NvLink(
        link=number,
        state=draw(st.sampled_from(_STATES)),
        version=draw(st.sampled_from(("4.0", "5.0"))),
        bytes_per_second=rate,
        remote=remote,
        remote_address=address,
    )
