"""Beside ``nvidia-smi topo -m``: levels, NVLinks, CPU and NUMA affinity, the NUMA node of a GPU's memory."""

from collections.abc import Iterator
from itertools import combinations
from typing import Final

from gputest.rows import Of, Row
from nvtopo.model.conclusions.derive import cpu_affinity, derive
from nvtopo.model.conclusions.distance import Distances
from nvtopo.model.formats.cpulist import parse_cpulist
from nvtopo.model.records.node import Gpu, Nic, NodeTopology
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sinks.document import derived
from nvtopo.sources.foreign.smi_topo_affinity import is_cut

TOOL: Final = "nvidia-smi topo -m"
_GRACE: Final = "on Grace, nvidia-smi calls every NIC SYS; nvtopo goes by the PCI path"
_DATA_DIRECT: Final = "nvtopo measures from the NIC's data direct function, which carries GPU traffic"
_SEVERAL: Final = "nvidia-smi lists several NUMA nodes; nvtopo has the one of the PCI function"
_NO_NUMA: Final = "the firmware states no NUMA node: nvtopo leaves the level open, nvidia-smi assumes one"
_CUT: Final = "this nvidia-smi cuts its CPU lists"
_CPUSET: Final = "the driver lists only CPUs that this process may use"
_NO_NODE: Final = "the firmware states no NUMA node of this GPU, and the driver takes one"
_MIG: Final = "under MIG no GPU talks over NVLink, and nvtopo makes no statement"


def rows(snapshot: Snapshot, node: NodeTopology, theirs: NodeTopology) -> Iterator[Row]:
    """Each cell of the matrix, and what stands behind the cells."""
    count = len(node.gpus) + (snapshot.nvml.lost if snapshot.nvml else 0)
    left_out = "the tool leaves out GPUs that are lost" if len(theirs.gpus) == len(node.gpus) else ""
    yield Of(TOOL, "node").row("GPUs", count, len(theirs.gpus), left_out)
    mine = {gpu.index: gpu for gpu in node.gpus}
    for gpu in theirs.gpus:
        if gpu.index in mine:
            yield from _affinity(node, mine[gpu.index], gpu)
    yield from _pairs(node, theirs)
    yield from _nics(snapshot, node, theirs)
    for problem in theirs.problems:
        yield Of(TOOL, problem.subject).not_compared("the text", problem.reason)


def _affinity(node: NodeTopology, mine: Gpu, theirs: Gpu) -> Iterator[Row]:
    of = Of(TOOL, mine.key)
    cpus = cpu_affinity(node, mine)
    cut = _CUT if is_cut(theirs.local_cpus) else ""
    yield of.row("CPU affinity", cpus, theirs.local_cpus, cpus_explained(node, mine, theirs.local_cpus, cut))
    if theirs.numa_nodes:
        listed = mine.numa_node is None or mine.numa_node in parse_cpulist(theirs.numa_nodes)
        yield of.row("NUMA node", mine.numa_node, theirs.numa_nodes, _SEVERAL if listed else "")
    else:
        yield of.row("NUMA node", mine.numa_node, theirs.numa_node, _NO_NODE if mine.numa_node is None else "")
    yield of.row("memory's NUMA node", mine.memory_numa_node, theirs.memory_numa_node)


def cpus_explained(node: NodeTopology, gpu: Gpu, theirs: str, cut: str = "") -> str:
    """Why another list of CPUs near a GPU may be right; ``cut`` is the reason if the list may be a part."""
    if gpu.numa_node is None:
        return _NO_NODE
    mine = cpu_affinity(node, gpu)
    if not mine or not theirs:
        return ""
    one, other = set(parse_cpulist(mine)), set(parse_cpulist(theirs))
    if one == other:
        return "the same CPUs, written otherwise"
    return (cut or (_CPUSET if node.host.allowed_cpus else "")) if other < one else ""


def _pairs(node: NodeTopology, theirs: NodeTopology) -> Iterator[Row]:
    mine = {(pair.a, pair.b): pair.link for pair in derived.of(derive(node)).gpu_pairs}
    under_mig = any(gpu.mig for gpu in node.gpus)
    for pair in derived.of(derive(theirs)).gpu_pairs:
        of = Of(TOOL, f"{pair.a}, {pair.b}")
        link = mine.get((pair.a, pair.b))
        if under_mig and link is None:
            yield of.not_compared("connection", _MIG, link, pair.link)
        elif (pair.a, pair.b) in mine:
            yield of.row("connection", link, pair.link)


def _nics(snapshot: Snapshot, node: NodeTopology, theirs: NodeTopology) -> Iterator[Row]:
    nics = {nic.name: nic for nic in node.nics}
    for name in (nic.name for nic in theirs.nics):
        if name not in nics:
            yield _not_ours(snapshot, name)
    shown = [nics[nic.name] for nic in theirs.nics if nic.name in nics]
    for nic in node.nics:
        if nic not in shown:
            reason = "nvidia-smi does not show this NIC" if nic.ports else "nvidia-smi shows RDMA devices only"
            yield Of(TOOL, nic.name).not_compared("its row", reason)
    mine, said = Distances(node), Distances(theirs)
    gpus = {gpu.index: gpu for gpu in node.gpus}
    devices = [gpus[gpu.index] for gpu in theirs.gpus if gpu.index in gpus]
    couples: list[tuple[Gpu | Nic, Nic]] = [(gpu, nic) for gpu in devices for nic in shown]
    for one, other in (*couples, *combinations(shown, 2)):
        level, stated = mine.level(one, other), said.level(one, other)
        unknown = level is None and None in (one.numa_node, other.numa_node)
        yield Of(TOOL, f"{_key(one)}, {other.name}").row(
            "connection",
            None if level is None else level.name,
            None if stated is None else stated.name,
            _NO_NUMA if unknown else _level_explained(node, one, other),
        )


def _key(device: Gpu | Nic) -> str:
    return device.key if isinstance(device, Gpu) else device.name


def _level_explained(node: NodeTopology, one: Gpu | Nic, other: Nic) -> str:
    if other.data_direct or (isinstance(one, Nic) and one.data_direct):
        return _DATA_DIRECT
    return _GRACE if node.host.architecture == "aarch64" else ""


def _not_ours(snapshot: Snapshot, name: str) -> Row:
    """A NIC that nvidia-smi shows and nvtopo does not have: some RDMA devices are no NICs."""
    of = Of(TOOL, name)
    device = next((one for one in (snapshot.rdma.devices if snapshot.rdma else ()) if one.name == name), None)
    if device is None:
        numbered = name.startswith("NIC") and name[3:].isdecimal()
        reason = "nvidia-smi does not say which device this is"
        return of.not_compared("NIC", reason, None, name) if numbered else of.row("NIC", None, name)
    if device.management:
        return of.row("NIC", None, name, "it manages the NVSwitches, and nvtopo counts it as no NIC")
    functions = {one.address: one for one in (snapshot.pci.devices if snapshot.pci else ())}
    function = functions.get(device.pci_address) if device.pci_address else None
    virtual = function is not None and function.physfn is not None
    return of.row("NIC", None, name, "a virtual function counts as its parent" if virtual else "")
