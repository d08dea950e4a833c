"""The matrix of ``nvidia-smi topo -m``, with NICs, NVMe, CPUs and NUMA, for machines with and without GPUs.

In a pipe it is whole, and reads back as what it was. A terminal that is too narrow for it gets it without the NVMe
drives, and if need be in blocks below each other.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from nvtopo.model import nvlink
from nvtopo.model.cpulist import format_cpulist
from nvtopo.model.derive import Derived
from nvtopo.model.distance import Distances
from nvtopo.model.node import Gpu, Nic, NodeTopology, Nvme

Style = Callable[[str, str], str]
"""Colours a padded cell: (padded text, bare text) → text."""

_LEGEND = {
    "X": "the device itself",
    "SYS": "crosses the interconnect between NUMA nodes",
    "NODE": "crosses PCIe host bridges of one NUMA node",
    "PHB": "crosses a PCIe host bridge, typically the CPU",
    "PXB": "crosses several PCIe switches and no host bridge",
    "PIX": "crosses at most one PCIe switch",
    "NV#": "crosses a bonded set of # NVLinks",
    "?": "not known: the firmware does not say where the device is",
}

_DIGITS = re.compile("([0-9]+)")


class _Row(NamedTuple):
    label: str
    device: Gpu | Nic | Nvme


def plain(padded: str, _bare: str) -> str:
    """The style of a pipe: none."""
    return padded


def render(
    node: NodeTopology,
    derived: Derived,
    style: Style = plain,
    *,
    columns: int | None = None,
    nvme: bool | None = None,
) -> str:
    """The whole text: what the machine is, its matrix, legends, and what could not be read.

    ``columns`` is how wide the terminal is, None where there is none. ``nvme`` says whether to show NVMe drives;
    None is where they fit.
    """
    rows = _rows(node, with_nvme=nvme is not False)
    cells = _cells(node, derived, rows)
    if nvme is None and columns is not None and _width(cells) > columns:
        rows = _rows(node, with_nvme=False)
        cells = _cells(node, derived, rows)
    parts = [summary(node, derived)]
    if rows:
        table = _table(cells, style) if columns is None or _width(cells) <= columns else _blocks(cells, style, columns)
        parts += [table, _hidden(node, rows), _legend(cells, rows, derived)]
    parts += [_pci(node), _numa(node), problems(derived)]
    return "\n\n".join(part for part in parts if part) + "\n"


def nics_in_order(node: NodeTopology) -> tuple[Nic, ...]:
    """RDMA devices first, then other NICs; each by name, 10 behind 9, as nvidia-smi numbers them."""
    return tuple(sorted(node.nics, key=lambda nic: (not nic.ports, _natural(nic.name), nic.pci_address or "")))


def printable(text: str) -> str:
    """``text`` without what moves a terminal's cursor: names come from other machines."""
    return text if text.isprintable() else "".join(one if one.isprintable() else "\ufffd" for one in text)


def _natural(text: str) -> list[tuple[str, int]]:
    return [("", int(part)) if part.isdecimal() else (part, 0) for part in _DIGITS.split(text)]


def _rows(node: NodeTopology, *, with_nvme: bool) -> list[_Row]:
    return [
        *(_Row(gpu.key, gpu) for gpu in node.gpus),
        *(_Row(f"NIC{index}", nic) for index, nic in enumerate(nics_in_order(node))),
        *(_Row(f"NVMe{index}", nvme) for index, nvme in enumerate(node.nvmes if with_nvme else ())),
    ]


def _hidden(node: NodeTopology, rows: list[_Row]) -> str:
    """What to type for the drives that are not shown."""
    if not node.nvmes or any(isinstance(row.device, Nvme) for row in rows):
        return ""
    return f"{len(node.nvmes)} NVMe drive{'s' if len(node.nvmes) > 1 else ''} not shown: --nvme shows them"


def summary(node: NodeTopology, derived: Derived) -> str:
    """What the machine is, in one to three lines."""
    machine = printable(" ".join(part for part in (node.host.vendor, node.host.product) if part)) or "Machine"
    lines = [f"{machine}: {_gpus(node)}"]
    if node.gpus:
        lines.append(f"NVLink: {_training(node) or _nvlinks(derived)}")
        if derived.fabric != "NotApplicable":
            domain = f", domain {printable(derived.nvlink_domain)}" if derived.nvlink_domain else ""
            lines.append(f"Fabric: {derived.fabric}{domain}")
    return "\n".join(lines)


def _gpus(node: NodeTopology) -> str:
    if node.gpus:
        names = sorted({gpu.name for gpu in node.gpus})
        driver = f", driver {node.host.driver_version}" if node.host.driver_version else ""
        return f"{len(node.gpus)} x {printable(' / '.join(names)) or 'GPU'}{printable(driver)}"
    if node.host.driver_version:
        return f"no GPU, NVIDIA driver {printable(node.host.driver_version)}"
    why = next((one.reason for one in node.problems if (one.source, one.subject) == ("nvml", "driver")), None)
    return "no NVIDIA driver" if why is None else f"no GPU answers: {printable(why)}"


def _training(node: NodeTopology) -> str:
    """Whose links may still be coming up; empty where none are."""
    training = [gpu.index for gpu in node.gpus if gpu.nvlink_training]
    return f"not known yet: soon after boot, links of GPUs {format_cpulist(training)} still train" if training else ""


def _nvlinks(derived: Derived) -> str:
    if derived.nvlink_groups is None:
        return "not known: hidden by MIG mode, or not shown by the input"
    if not derived.nvlink_groups:
        return "no usable link between GPUs"
    assert derived.nvlink_full_mesh is not None
    groups = (
        f"{{{','.join(map(str, group))}}} {'full mesh' if mesh else 'partly connected'}"
        for group, mesh in zip(derived.nvlink_groups, derived.nvlink_full_mesh, strict=True)
    )
    # "GPU3" in front of the matrix would be a header to whoever reads it back.
    degraded = ",".join(map(str, derived.nvlink_degraded))
    return ", ".join(groups) + (f"; degraded GPUs: {degraded}" if degraded else "")


def _cells(node: NodeTopology, derived: Derived, rows: list[_Row]) -> list[list[str]]:
    header = ["", *(row.label for row in rows), "CPU Affinity", "NUMA Affinity"]
    memory = any(gpu.memory_numa_node is not None for gpu in node.gpus)
    paths, distances = nvlink.paths(node), Distances(node)
    table = [[*header, "GPU NUMA ID"] if memory else header]
    for row in rows:
        cells = [row.label, *(_cell(distances, paths, row.device, other.device) for other in rows)]
        tail = _tail(derived, row.device)
        table.append([*cells, *tail] if memory else [*cells, *tail[:-1]])
    return table


def _cell(
    distances: Distances,
    paths: dict[tuple[int, int], nvlink.Path],
    one: Gpu | Nic | Nvme,
    other: Gpu | Nic | Nvme,
) -> str:
    if one is other:
        return "X"
    if isinstance(one, Gpu) and isinstance(other, Gpu):
        path = paths.get((min(one.index, other.index), max(one.index, other.index)))
        if path is not None:
            return f"NV{path.links}"
    found = distances.level(one, other)
    return "?" if found is None else found.name


def _tail(derived: Derived, device: Gpu | Nic | Nvme) -> list[str]:
    """CPU and NUMA affinity; GPUs only have CPUs and a memory node to show."""
    known = derived.numa[device.key] if isinstance(device, Gpu) else device.numa_node
    numa = "N/A" if known is None else str(known)
    if not isinstance(device, Gpu):
        return ["", numa, ""]
    memory = "N/A" if device.memory_numa_node is None else str(device.memory_numa_node)
    return [derived.cpu_affinity[device.key] or "N/A", numa, memory]


def _widths(cells: list[list[str]]) -> list[int]:
    return [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]


def _width(cells: list[list[str]]) -> int:
    widths = _widths(cells)
    return sum(widths) + 2 * (len(widths) - 1)


def _blocks(cells: list[list[str]], style: Style, columns: int) -> str:
    from nvtopo.sinks.blocks import blocks

    return "\n\n".join(_table(block, style) for block in blocks(cells, _widths(cells), columns))


def _table(cells: list[list[str]], style: Style) -> str:
    widths = _widths(cells)
    lines = (
        "  ".join(style(cell.ljust(width), cell) for cell, width in zip(row, widths, strict=True)) for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def _legend(cells: list[list[str]], rows: list[_Row], derived: Derived) -> str:
    """What is seen; and NV# wherever NVLink could be, for a legend without it is that of `topo -mp`, which hides it."""
    seen = {cell.rstrip("0123456789") for row in cells[1:] for cell in row[1 : len(rows) + 1]}
    seen.discard("X")
    if derived.cpu_affinity:
        seen.add("X" if derived.nvlink_groups is None else "NV")
    meanings = [f"  {name:<4} = {text}" for name, text in _LEGEND.items() if name.rstrip("#") in seen]
    names = [
        f"  {row.label}: {printable(row.device.name + _address(row.device))}"
        for row in rows
        if not isinstance(row.device, Gpu)
    ]
    parts = ["Legend:\n" + "\n".join(meanings)] if meanings else []
    return "\n\n".join([*parts, *(["Devices:\n" + "\n".join(names)] if names else [])])


def _address(device: Nic | Nvme) -> str:
    details = [device.pci_address or ""]
    if isinstance(device, Nic):
        details += [name for name in device.netdevs if name != device.name]
        details += [f"MTU {device.mtu_bytes}"] if device.mtu_bytes else []
        details += [f"{port.link_layer} {port.state}".strip() for port in device.ports]
    text = ", ".join(detail for detail in details if detail)
    return f" ({text})" if text else ""


def _pci(node: NodeTopology) -> str:
    """The root buses, where no GPU's matrix says more."""
    if node.gpus or not node.pci:
        return ""
    lines = (
        f"  {root.root}: {root.functions} function{'s' if root.functions > 1 else ''}"
        f", NUMA node {'not known' if root.numa_node is None else root.numa_node}"
        for root in node.pci
    )
    return "PCI:\n" + "\n".join(lines)


def _numa(node: NodeTopology) -> str:
    nodes = [numa for numa in node.numa if numa.cpus]
    return "NUMA:\n" + "\n".join(f"  node {numa.index}: CPUs {numa.cpus}" for numa in nodes) if nodes else ""


def problems(derived: Derived) -> str:
    """What could not be read, one line each."""
    if not derived.problems:
        return ""
    lines = (printable(f"  {problem.source}: {problem.subject}: {problem.reason}") for problem in derived.problems)
    return "Could not be read:\n" + "\n".join(lines)
