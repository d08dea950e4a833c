"""Beside pynvml's own calls (``gputest.probe_nvml``)."""

from collections.abc import Iterator
from typing import Annotated, Final

from msgspec import Meta, Struct, field

from gputest.compare.topo import cpus_explained
from gputest.rows import Of, Row
from nvtopo.model.conclusions.derive import cpu_affinity
from nvtopo.model.formats.address import is_pci_address, parse_pci_address, visible
from nvtopo.model.formats.cpulist import format_cpulist
from nvtopo.model.records.facts import GpuFacts, NvmlFacts
from nvtopo.model.records.node import NodeTopology

TOOL: Final = "pynvml"
_LEVELS: Final = {0: "INTERNAL", 10: "PIX", 20: "PXB", 30: "PHB", 40: "NODE", 50: "SYS"}
_P2P: Final = {0: "OK", 1: "CNS", 2: "GNS", 3: "TNS", 4: "DR", 5: "NS"}
_REMOTES: Final = {0: "gpu", 1: "npu", 2: "switch"}
_ASLEEP: Final = "this call knows active and inactive only"

Text = Annotated[str, Meta(max_length=256)]


class Link(Struct, frozen=True):
    """A link as the calls of its own describe it."""

    link: int
    active: bool
    remote: Text | None = None
    type: int | None = None


class Gpu(Struct, frozen=True):
    """A GPU as single calls describe it."""

    index: int
    uuid: Text | None = None
    name: Text | None = None
    pci_address: Text | None = field(default=None, name="pciBusID")
    memory_bytes: int | None = field(default=None, name="memoryBytes")
    minor: int | None = None
    module_id: int | None = field(default=None, name="moduleId")
    vbios: Text | None = None
    compute_capability: Text | None = field(default=None, name="computeCapability")
    mig: bool | None = None
    width: int | None = None
    max_width: int | None = field(default=None, name="maxWidth")
    max_generation: int | None = field(default=None, name="maxGeneration")
    cpus: tuple[int, ...] | None = None
    links: tuple[Link, ...] = ()


class Pair(Struct, frozen=True):
    """Two GPUs."""

    a: int
    b: int
    level: int | None = None
    p2p: int | None = None


class Probe(Struct, frozen=True):
    """Everything that was asked."""

    count: int
    driver_version: Text | None = field(default=None, name="driverVersion")
    gpus: tuple[Gpu, ...] = ()
    pairs: tuple[Pair, ...] = ()


def rows(mine: NvmlFacts, node: NodeTopology, theirs: Probe) -> Iterator[Row]:
    """Everything that a call states."""
    of = Of(TOOL, "node")
    yield of.row("GPUs", len(mine.gpus) + mine.lost, theirs.count)
    yield of.row("driver version", mine.driver_version, theirs.driver_version)
    gpus = {gpu.index: gpu for gpu in mine.gpus}
    for said in theirs.gpus:
        gpu = gpus.get(said.index)
        if gpu is not None:
            yield from _gpu(gpu, said)
            yield from _cpus(node, said)
        elif said.uuid:
            explained = "a call to it failed in nvtopo's reading, which says so" if mine.lost else ""
            yield Of(TOOL, f"GPU{said.index}").row("GPU", None, said.uuid, explained)
    pairs = {(pair.a, pair.b): pair for pair in mine.pairs}
    for pair in theirs.pairs:
        if (pair.a, pair.b) in pairs:
            found, of = pairs[pair.a, pair.b], Of(TOOL, f"GPU{pair.a}, GPU{pair.b}")
            yield of.row("common ancestor", found.level, _LEVELS.get(-1 if pair.level is None else pair.level))
            yield of.row("NVLink peer access", found.nvlink_p2p, _P2P.get(-1 if pair.p2p is None else pair.p2p))


def _cpus(node: NodeTopology, said: Gpu) -> Iterator[Row]:
    for gpu in node.gpus:
        if gpu.index == said.index and said.cpus:
            listed = format_cpulist(said.cpus)
            explained = cpus_explained(node, gpu, listed)
            yield Of(TOOL, gpu.key).row("CPU affinity", cpu_affinity(node, gpu), listed, explained)


def _gpu(mine: GpuFacts, said: Gpu) -> Iterator[Row]:
    of = Of(TOOL, f"GPU{mine.index}")
    for fact in ("uuid", "name", "minor", "module_id", "memory_bytes", "vbios", "compute_capability", "mig"):
        yield of.row(fact.replace("_", " "), getattr(mine, fact), getattr(said, fact))
    yield of.row("PCI address", mine.pci_address, _address(said.pci_address))
    link = mine.link
    yield of.row(
        "PCIe width",
        link.width if link else None,
        said.width,
        "the width changed between two readings" if link and link.max_width == said.max_width else "",
    )
    yield of.row("PCIe width, most", link.max_width if link else None, said.max_width)
    yield of.row("PCIe generation, most", link.max_generation if link else None, said.max_generation)
    links = {link.link: link for link in mine.nvlinks}
    for one in said.links:
        ours = links.get(one.link)
        state = ours.state if ours else None
        beyond = "beyond the links that the driver counts" if ours is None and not one.active else ""
        asleep = _ASLEEP if state in ("sleep", "traffic-disabled") else beyond
        yield of.row(f"link {one.link} state", state, "active" if one.active else "inactive", asleep)
        if one.active:
            remote = ours.remote if ours else None
            yield of.row(f"link {one.link} remote", remote, _REMOTES.get(-1 if one.type is None else one.type))
            end = _address(one.remote)
            yield of.row(f"link {one.link} end", ours.remote_address if ours else None, end)


def _address(text: str | None) -> str | None:
    """In sysfs's spelling; None for what stands for a hidden NVSwitch."""
    return visible(parse_pci_address(text)) if text and is_pci_address(text) else None
