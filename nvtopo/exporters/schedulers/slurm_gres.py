"""Slurm's ``gres.conf``: GPUs with the cores near them and the NVLinks between them, one set of lines for equal nodes.

``File`` takes NVML's index for the number of the device file. ``Cores`` are Slurm's cores and not the kernel's CPUs, so
they are left out if nothing shows which CPUs are threads of one core.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from nvtopo.cluster.domains import natural
from nvtopo.cluster.nodes import GraphNode
from nvtopo.exporters.schedulers.hostlist import folded, is_fit
from nvtopo.exporters.schedulers.slurm import Names
from nvtopo.model.conclusions import nvlink
from nvtopo.model.conclusions.nvlink_path import Path
from nvtopo.model.formats.cpulist import format_cpulist, parse_cpulist, ranges
from nvtopo.model.records.node import Gpu, NodeTopology

_UNFIT: Final = re.compile(r"[^a-z0-9._-]+")
_ONESELF: Final = -1
#: Architectures whose cores have one thread each.
_ONE_THREAD: Final = ("aarch64",)
_SIBLINGS: Final = 2


def text(nodes: Mapping[str, GraphNode], names: Names) -> str:
    """The text of ``gres.conf``."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for node in nodes.values():
        slurm = names.get(node.name, node.name)
        if node.topology is not None and node.topology.gpus and slurm is not None and is_fit(slurm):
            groups.setdefault(tuple(_lines(node.topology)), []).append(slurm)
    lines = ["AutoDetect=off"]
    for own, members in groups.items():
        lines += [f"NodeName={folded(sorted(members, key=natural))} {line}" for line in own]
    return "\n".join(lines) + "\n"


def _lines(node: NodeTopology) -> Iterator[str]:
    known = nvlink.groups(node) is not None
    paths = nvlink.paths(node)
    for gpu in node.gpus:
        kind = _UNFIT.sub("_", gpu.name.lower()).strip("_.-")
        cores = _cores(node, gpu)
        yield " ".join(
            [
                "Name=gpu",
                *([f"Type={kind}"] if kind else []),
                f"File=/dev/nvidia{gpu.index}",
                *([f"Cores={cores}"] if cores else []),
                *([f"Links={_links(gpu, node, paths)}"] if known else []),
            ]
        )


def _links(gpu: Gpu, node: NodeTopology, paths: Mapping[tuple[int, int], Path]) -> str:
    """The number of NVLinks to each GPU of the node, in the order of their files."""
    counts = []
    for other in node.gpus:
        path = paths.get((min(gpu.index, other.index), max(gpu.index, other.index)))
        counts.append(_ONESELF if other is gpu else 0 if path is None else path.links)
    return ",".join(map(str, counts))


def _cores(node: NodeTopology, gpu: Gpu) -> str:
    """Slurm's numbers of the cores of its NUMA node; empty if they are not known."""
    near = next((numa.cpus for numa in node.numa if numa.index == gpu.numa_node and numa.cpus), "")
    cores = _core_of(node)
    return format_cpulist({cores[cpu] for cpu in parse_cpulist(near)}) if near and cores else ""


def _core_of(node: NodeTopology) -> dict[int, int]:
    """CPU → core: on x86 the kernel numbers the first threads of all cores, and then their second ones."""
    every = sorted(cpu for numa in node.numa for cpu in parse_cpulist(numa.cpus))
    if every != list(range(len(every))):
        return {}
    if node.host.architecture in _ONE_THREAD:
        return {cpu: cpu for cpu in every}
    half, odd = divmod(len(every), 2)
    runs = [ranges(numa.cpus) for numa in node.numa if numa.cpus]
    doubled = all(
        len(own) == _SIBLINGS and (own[0][0] + half, own[0][1] + half) == own[1] and own[1][0] >= half for own in runs
    )
    return {cpu: cpu % half for cpu in every} if half and not odd and doubled else {}
