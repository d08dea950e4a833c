"""The matrix of ``nvidia-smi topo -m``, with NICs, NVMe, CPUs and NUMA, for machines with and without GPUs.

A pipe gets the whole matrix, which ``dump --from`` reads back. A terminal that is too narrow gets it without NVMe
drives and, if necessary, in blocks below each other.
"""

from collections.abc import Callable
from itertools import combinations
from typing import Final, NamedTuple

from nvtopo.model.conclusions import nvlink, nvlink_path
from nvtopo.model.conclusions.derive import Derived
from nvtopo.model.conclusions.distance import Distances
from nvtopo.model.conclusions.order import nics_in_order
from nvtopo.model.formats.printable import printable
from nvtopo.model.records.node import Gpu, Nic, NodeTopology, Nvme
from nvtopo.sinks.text import verdict
from nvtopo.sinks.text.blocks import Cell, Cells
from nvtopo.sinks.text.summary import problems, summary

#: Looks of a cell: an NVLink path, and one that has fewer links than it should. A PCIe level is its own look.
_NVLINK: Final = "NV"
_NVLINK_SHORT: Final = "NV, links missing"

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


_Device = Gpu | Nic | Nvme


class _Row(NamedTuple):
    label: str
    device: _Device


def plain(text: str, _look: str) -> str:
    """The style of a pipe: no colour."""
    return text


def render(
    node: NodeTopology,
    derived: Derived,
    style: verdict.Style = plain,
    *,
    columns: int | None = None,
    nvme: bool | None = None,
) -> str:
    """The whole text: what the machine is, its matrix, legends, what could not be read, and why it is not ready.

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
    parts += [_pci(node), _numa(node), problems(derived, verdict.said(derived)), verdict.lines(node, derived, style)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _rows(node: NodeTopology, *, with_nvme: bool) -> list[_Row]:
    return [
        *(_Row(gpu.key, gpu) for gpu in node.gpus),
        *(_Row(f"NIC{index}", nic) for index, nic in enumerate(nics_in_order(node))),
        *(_Row(f"NVMe{index}", nvme) for index, nvme in enumerate(node.nvmes if with_nvme else ())),
    ]


def _hidden(node: NodeTopology, rows: list[_Row]) -> str:
    """A hint how to show the hidden drives."""
    if not node.nvmes or any(isinstance(row.device, Nvme) for row in rows):
        return ""
    return f"{len(node.nvmes)} NVMe drive{'s' if len(node.nvmes) > 1 else ''} not shown: --nvme shows them"


def _cells(node: NodeTopology, derived: Derived, rows: list[_Row]) -> Cells:
    header = ["", *(row.label for row in rows), "CPU Affinity", "NUMA Affinity"]
    memory = any(gpu.memory_numa_node is not None for gpu in node.gpus)
    paths, distances, short = nvlink.paths(node), Distances(node), _short(node, derived)
    table = [[Cell(text) for text in ([*header, "GPU NUMA ID"] if memory else header)]]
    between = _between(rows, lambda one, other: _cell(distances, paths, short, one, other))
    for row, cells in zip(rows, between, strict=True):
        tail = [Cell(text) for text in _tail(derived, row.device)]
        table.append([Cell(row.label), *cells, *(tail if memory else tail[:-1])])
    return table


def _between(rows: list[_Row], cell: Callable[[_Device, _Device], Cell]) -> Cells:
    """Each device's cells; a pair's path is the same both ways, and looked up once."""
    table = [[Cell("X")] * len(rows) for _ in rows]
    for (i, one), (j, other) in combinations(enumerate(rows), 2):
        table[i][j] = table[j][i] = cell(one.device, other.device)
    return table


def _short(node: NodeTopology, derived: Derived) -> set[tuple[int, int]]:
    """Pairs of GPUs whose path lacks links: one of them lacks links to switches, or both lack links."""
    lacking = {reason.gpu for reason in derived.health.reasons if reason.code == "nvlinks-missing"}
    if not lacking:
        return set()
    return {
        (one.index, other.index)
        for one, other in combinations(node.gpus, 2)
        if len(lacking & {one.index, other.index}) > (1 if _joined(one, other) else 0)
    }


def _joined(one: Gpu, other: Gpu) -> bool:
    """Whether links lead from one to the other, without a switch."""
    return any(bundle.usable and other.pci_address in bundle.peers for bundle in one.nvlinks)


def _cell(
    distances: Distances,
    paths: dict[tuple[int, int], nvlink_path.Path],
    short: set[tuple[int, int]],
    one: _Device,
    other: _Device,
) -> Cell:
    if isinstance(one, Gpu) and isinstance(other, Gpu):
        pair = (min(one.index, other.index), max(one.index, other.index))
        if (path := paths.get(pair)) is not None:
            return Cell(f"NV{path.links}", _NVLINK_SHORT if pair in short else _NVLINK)
    found = distances.level(one, other)
    name = "?" if found is None else found.name
    return Cell(name, name)


def _tail(derived: Derived, device: _Device) -> list[str]:
    """CPU and NUMA affinity; GPUs only have CPUs and a memory node to show."""
    known = derived.numa[device.index] if isinstance(device, Gpu) else device.numa_node
    numa = "N/A" if known is None else str(known)
    if not isinstance(device, Gpu):
        return ["", numa, ""]
    memory = "N/A" if device.memory_numa_node is None else str(device.memory_numa_node)
    return [derived.cpu_affinity[device.index] or "N/A", numa, memory]


def _widths(cells: Cells) -> list[int]:
    return [max(len(cell.text) for cell in column) for column in zip(*cells, strict=True)]


def _width(cells: Cells) -> int:
    widths = _widths(cells)
    return sum(widths) + 2 * (len(widths) - 1)


def _blocks(cells: Cells, style: verdict.Style, columns: int) -> str:
    from nvtopo.sinks.text.blocks import blocks

    return "\n\n".join(_table(block, style) for block in blocks(cells, _widths(cells), columns))


def _table(cells: Cells, style: verdict.Style) -> str:
    widths = _widths(cells)
    lines = (
        "  ".join(style(cell.text.ljust(width), cell.look) for cell, width in zip(row, widths, strict=True))
        for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def _legend(cells: Cells, rows: list[_Row], derived: Derived) -> str:
    """The levels that occur. NV# is listed whenever NVLink is possible: a legend without it is that of `topo -mp`."""
    seen = {cell.text.rstrip("0123456789") for row in cells[1:] for cell in row[1 : len(rows) + 1]}
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
    """The PCI root buses, for a node without GPUs."""
    if node.gpus or not node.pci:
        return ""
    lines = (
        f"  {root.root}: {_counted(root.functions)}"
        f"NUMA node {'not known' if root.numa_node is None else root.numa_node}"
        for root in node.pci
    )
    return "PCI:\n" + "\n".join(lines)


def _counted(functions: int) -> str:
    return f"{functions} function{'s' if functions > 1 else ''}, " if functions else ""


def _numa(node: NodeTopology) -> str:
    nodes = [numa for numa in node.numa if numa.cpus]
    return "NUMA:\n" + "\n".join(f"  node {numa.index}: CPUs {numa.cpus}" for numa in nodes) if nodes else ""
