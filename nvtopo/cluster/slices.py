"""What DRA drivers publish of a node's devices (ResourceSlices), against what the node sees of them itself."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from nvtopo.cluster.findings import NodeFinding, found
from nvtopo.cluster.nodes import GraphNode
from nvtopo.model.formats.listing import listed
from nvtopo.model.records.node import Gpu, Nic, NodeTopology

GPU_DRIVER: Final = "gpu.nvidia.com"
OWN_DRIVER: Final = "topo.nvtopo.io"
STANDARD: Final = "resource.kubernetes.io/"
_MOST_NAMED: Final = 8


class Device(NamedTuple):
    """As much of a device as is compared."""

    name: str
    bus_id: str | None = None
    """PCI address, lower case."""
    root: str | None = None
    """``resource.kubernetes.io/pcieRoot``."""
    numa: int | None = None
    """``resource.kubernetes.io/numaNode``, or a driver's own."""
    uuid: str | None = None
    own_root: bool = False
    """Whether the root stands in an attribute of the driver's own."""
    taints: tuple[str, ...] = ()
    """``key=value:effect``."""


class Slice(NamedTuple):
    """One ResourceSlice."""

    driver: str
    node: str
    """Empty if it is of no node."""
    pool: str
    generation: int
    parts: int
    """How many slices the pool has in this generation."""
    devices: tuple[Device, ...] = ()


class Doubt(NamedTuple):
    """Something that does not fit, of one node."""

    driver: str
    evidence: str
    note: bool = False
    """Whether it contradicts nothing, and is worth knowing all the same."""


def doubts(slices: Iterable[Slice], node: GraphNode) -> frozenset[Doubt]:
    """What of a node's slices does not fit together, or with what the node sees."""
    by_driver: dict[str, list[Device]] = {}
    told = list[Doubt]()
    for (driver, pool), (now, older) in newest(slices).items():
        told += _pool(driver, pool, now, older)
        by_driver.setdefault(driver, []).extend(device for one in now for device in one.devices)
    if node.topology is None or node.stale:
        return frozenset(told)
    seen = _Seen(node.topology)
    for driver, devices in by_driver.items():
        told += _devices(driver, devices, seen)
        if driver == GPU_DRIVER:
            told += _gpus(devices, node, seen)
    return frozenset(told)


class Newest(NamedTuple):
    """The slices of a pool's newest generation, and how many there are of older ones."""

    slices: list[Slice]
    older: int


def newest(slices: Iterable[Slice]) -> Mapping[tuple[str, str], Newest]:
    """Driver and pool → what counts: kube-scheduler looks at no older generation."""
    pools: dict[tuple[str, str], list[Slice]] = {}
    for one in slices:
        pools.setdefault((one.driver, one.pool), []).append(one)
    found: dict[tuple[str, str], Newest] = {}
    for key, parts in pools.items():
        generation = max(one.generation for one in parts)
        now = [one for one in parts if one.generation == generation]
        found[key] = Newest(now, len(parts) - len(now))
    return found


def findings(doubts_of: Mapping[str, Iterable[Doubt]]) -> tuple[NodeFinding, ...]:
    """Node → doubts, as findings: what is the same on many nodes is one."""
    nodes: dict[Doubt, list[str]] = {}
    for name in sorted(doubts_of):
        for doubt in doubts_of[name]:
            nodes.setdefault(doubt, []).append(name)
    made = (
        found("dra-notes" if doubt.note else "dra", tuple(names), doubt.evidence, subject=doubt.driver)
        for doubt, names in nodes.items()
    )
    return tuple(sorted(made))


class _Seen:
    """The node's own devices, by what a driver may call them."""

    def __init__(self, node: NodeTopology) -> None:
        self.node = node
        self.gpus = {gpu.pci_address.lower(): gpu for gpu in node.gpus if gpu.pci_address}
        self.nics = {nic.pci_address.lower(): nic for nic in node.nics if nic.pci_address}

    def at(self, address: str | None) -> Gpu | Nic | None:
        return None if address is None else self.gpus.get(address) or self.nics.get(address)


def _pool(driver: str, pool: str, now: list[Slice], older: int) -> Iterator[Doubt]:
    wanted = max(one.parts for one in now)
    generation = now[0].generation
    if len(now) != wanted:
        slices = f"{len(now)} of {wanted} slices of generation {generation}"
        yield Doubt(driver, f"pool {pool} has {slices}: the scheduler uses none of its devices")
    if older:
        yield Doubt(driver, f"pool {pool} has {older} slices from before generation {generation}", note=True)


def _devices(driver: str, devices: list[Device], seen: _Seen) -> Iterator[Doubt]:
    own = [device for device in devices if device.own_root and device.root is None]
    if own:
        said = f"publishes pciRoot of its own and not {STANDARD}pcieRoot ({_some(own)})"
        yield Doubt(driver, f"{driver} {said}: matchAttribute across drivers can't work", note=True)
    for device in devices:
        if device.numa is not None and device.numa < 0:
            yield Doubt(driver, f"{driver} {device.name} numaNode {device.numa}: it should be left out", note=True)
        known = seen.at(device.bus_id)
        if known is None:
            continue
        root = known.path.partition("/")[0] or None
        if device.root is None and root is not None and not device.own_root:
            yield Doubt(driver, f"{driver} {device.name} has no pcieRoot; nvtopo sees {root}", note=True)
        elif device.root is not None and root is not None and device.root != root:
            yield Doubt(driver, f"{driver} {device.name} has pcieRoot {device.root}; nvtopo sees {root}")
        numa = device.numa if device.numa is not None and device.numa >= 0 else None
        if numa is not None and known.numa_node is not None and numa != known.numa_node:
            yield Doubt(driver, f"{driver} {device.name} has numaNode {numa}; nvtopo sees {known.numa_node}")


def _gpus(devices: list[Device], node: GraphNode, seen: _Seen) -> Iterator[Doubt]:
    by_uuid = {gpu.uuid: gpu for gpu in seen.node.gpus}
    published: set[int] = set()
    for device in devices:
        at, named = seen.gpus.get(device.bus_id or ""), by_uuid.get(device.uuid or "")
        gpu = at or named
        if gpu is None:
            if device.uuid is not None and device.uuid.startswith("GPU-") and seen.node.gpus:
                where = f" at {device.bus_id}" if device.bus_id else ""
                yield Doubt(GPU_DRIVER, f"{device.name} ({device.uuid}{where}) is no GPU that nvtopo sees")
            continue
        published.add(gpu.index)
        if at is not None and device.uuid is not None and device.uuid.startswith("GPU-") and device.uuid != at.uuid:
            yield Doubt(GPU_DRIVER, f"{device.name} at {device.bus_id} is {device.uuid}; nvtopo sees {at.uuid}")
        if device.taints and node.health.get(gpu.key) == "ok":
            said = listed(device.taints, _MOST_NAMED)
            yield Doubt(
                GPU_DRIVER, f"{device.name} is tainted {said}; nvtopo sees nothing wrong with {gpu.key}", note=True
            )
    missing = [gpu.key for gpu in seen.node.gpus if gpu.index not in published and not gpu.mig]
    if missing and published:
        yield Doubt(GPU_DRIVER, f"{listed(missing, _MOST_NAMED)} of the node in no slice: no claim gets it")


def _some(devices: list[Device]) -> str:
    return listed([device.name for device in devices], _MOST_NAMED)


class Lasting:
    """Which doubts have lasted: drivers and agents look at different moments, and a new pool comes slice by slice."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[str, dict[Doubt, float]] = {}

    def see(self, node: str, now_doubted: Iterable[Doubt], now: float) -> None:
        """All doubts of a node now, instead of those before."""
        before = self._since.get(node, {})
        current = {doubt: before.get(doubt, now) for doubt in now_doubted}
        if current:
            self._since[node] = current
        else:
            self._since.pop(node, None)

    def lasted(self, now: float) -> dict[str, frozenset[Doubt]]:
        """Node → its doubts that are old enough."""
        old = {
            name: frozenset(doubt for doubt, since in doubted.items() if now - since >= self._seconds)
            for name, doubted in self._since.items()
        }
        return {name: doubted for name, doubted in old.items() if doubted}
