"""``nvidia-smi topo -m`` and ``-mp``: levels that the driver states, without addresses.

An NVLink counts where both rows state it. A GPU whose own row shows SYS where the others show NV6 has lost its links
(seen on a 4-GPU H100 board): the pairs are one-sided, and that GPU is the degraded one.
"""

import re
from typing import Literal, cast

from nvtopo.model.node import Gpu, GpuPair, Nic, NodeTopology, StatedLevel
from nvtopo.sources.foreign.given import Given, Notes
from nvtopo.sources.foreign.smi_topo_affinity import NO_AFFINITY, read_affinity
from nvtopo.sources.foreign.smi_topo_matrix import SOURCE, Matrix, Row, looks_like, matrices, sound_rows

__all__ = ["looks_like", "read"]

Level = Literal["PIX", "PXB", "PHB", "NODE", "SYS"]

_LEVELS = {name: name for name in ("PIX", "PXB", "PHB", "NODE", "SYS")} | {"SOC": "SYS"}
_NIC_NAME = re.compile(r"NIC([0-9]{1,4}):\s{0,8}([A-Za-z][A-Za-z0-9_.-]{0,63})(?=\s*$|\s+NIC[0-9]|\s+\()")
#: A line of the legend, wherever a log puts it; the same letters in prose say nothing.
_NVLINK_LEGEND = re.compile(r"NV#\s{0,8}=")
_NIC_LINE = re.compile(r"(?:^|\s)NIC[0-9]{1,4}:")


def read(given: Given) -> NodeTopology:
    """The node of the first matrix in the text.

    Raises:
        ParseError: the matrix contradicts itself in its header.
    """
    notes = Notes(SOURCE)
    found = matrices(given)
    matrix = next(found)
    if len(set(matrix.labels)) < len(matrix.labels):
        raise given.refused("a device that the header names twice", "a matrix of `nvidia-smi topo -m`")
    others = sum(1 for other in found if other.rows != matrix.rows)
    if others:
        notes.add("matrix", f"the input holds {others} more that differ; the first was read")
    rows = sound_rows(matrix, notes)
    names = _nic_names(matrix, notes)
    return NodeTopology(
        gpus=tuple(sorted((_gpu(label, rows, matrix, notes) for label in _gpus(matrix)), key=lambda gpu: gpu.index)),
        pairs=_pairs(matrix, rows, notes),
        nics=tuple(Nic(name=name) for name in names.values()),
        stated=_stated(matrix, rows, names, notes),
        nvlink_hidden=_hides_nvlink(matrix, notes),
        problems=notes.problems,
    )


def _gpus(matrix: Matrix) -> list[str]:
    return [label for label in matrix.labels if _is_gpu(label)]


def _is_gpu(label: str) -> bool:
    return label.startswith("GPU") and label[3:].isdecimal()


def _index(label: str) -> int:
    return int(label[3:])


def _hides_nvlink(matrix: Matrix, notes: Notes) -> bool:
    """``topo -mp`` prints no NV#, neither in cells nor in its legend, whatever the machine has."""
    if any(cell.startswith("NV") for row in matrix.rows.values() for cell in row.cells) or not matrix.has_legend:
        return False
    if any(_NVLINK_LEGEND.search(line) for line in matrix.after):
        return False
    notes.add("NVLink", "the legend has no NV#, as that of `topo -mp`: the input can't show NVLink")
    return True


def _nic_names(matrix: Matrix, notes: Notes) -> dict[str, str]:
    """Column → the NIC's name. A legend line that holds anything but one name keeps the column's label."""
    legend: dict[str, str] = {}
    for line in matrix.after:
        if not _NIC_LINE.search(line):
            continue
        entry = _NIC_NAME.search(line)
        if entry is None or _NIC_LINE.search(line, entry.end(1) + 1):
            notes.add("NIC legend", "a line holds something else than one NIC's name")
        if entry is not None and entry[2] not in legend.values() and entry[2] not in matrix.labels:
            legend.setdefault(f"NIC{entry[1]}", entry[2])
    return {
        label: legend.get(label, label)
        for label in matrix.labels
        if not _is_gpu(label) and not label.startswith("NVMe")
    }


def _gpu(label: str, rows: dict[str, Row], matrix: Matrix, notes: Notes) -> Gpu:
    row = rows.get(label)
    affinity = read_affinity(row.tail, matrix.columns) if row else NO_AFFINITY
    if affinity is None:
        notes.add(label, "its CPU and NUMA affinity can't be read")
        affinity = NO_AFFINITY
    return Gpu(
        index=_index(label),
        uuid="",
        numa_node=int(affinity.numa) if affinity.numa.isdecimal() else None,
        numa_nodes="" if affinity.numa.isdecimal() else affinity.numa,
        local_cpus=affinity.cpus,
        memory_numa_node=int(affinity.memory) if affinity.memory.isdecimal() else None,
    )


def _stated(matrix: Matrix, rows: dict[str, Row], names: dict[str, str], notes: Notes) -> tuple[StatedLevel, ...]:
    """The levels between GPUs and NICs, and of NICs among each other; NVMe columns name no device that we know."""
    called = {label: names.get(label, label) for label in matrix.labels if _is_gpu(label) or label in names}
    stated = []
    for position, (one, a) in enumerate(called.items()):
        for other, b in list(called.items())[position + 1 :]:
            if one in names or other in names:
                level = _level(matrix, rows, one, other, notes)
                stated += [StatedLevel(a=a, b=b, level=level)] if level is not None else []
    return tuple(stated)


def _level(matrix: Matrix, rows: dict[str, Row], one: str, other: str, notes: Notes) -> Level | None:
    """The PCIe level of two devices; where their rows disagree the first counts, and the disagreement is noted."""
    cells = (_cell(matrix, rows, one, other), _cell(matrix, rows, other, one))
    levels = [_LEVELS[cell] for cell in cells if cell in _LEVELS]
    for cell in cells:
        if cell and cell not in _LEVELS and cell != "?" and not _links(cell):
            notes.add(f"{one}, {other}", f"expected a level such as PIX or NV4, got {cell!r}")
    if len(set(levels)) > 1:
        notes.add(f"{one}, {other}", f"{one}'s row says {levels[0]}, {other}'s says {levels[1]}")
    return cast("Level", levels[0]) if levels else None


def _cell(matrix: Matrix, rows: dict[str, Row], row: str, column: str) -> str:
    """What one row says of one column; empty where it is cut off."""
    position = matrix.positions[column]
    cells = rows[row].cells if row in rows else ()
    return cells[position] if position < len(cells) else ""


def _links(cell: str) -> int:
    return int(cell[2:]) if cell.startswith("NV") and cell[2:].isdecimal() else 0


def _pairs(matrix: Matrix, rows: dict[str, Row], notes: Notes) -> tuple[GpuPair, ...]:
    gpus = sorted(_gpus(matrix), key=_index)
    pairs = (
        _pair(matrix, rows, one, other, notes) for position, one in enumerate(gpus) for other in gpus[position + 1 :]
    )
    return tuple(pair for pair in pairs if pair is not None)


def _pair(matrix: Matrix, rows: dict[str, Row], one: str, other: str, notes: Notes) -> GpuPair | None:
    cells = (_cell(matrix, rows, one, other), _cell(matrix, rows, other, one))
    mine, theirs = map(_links, cells)
    level = _level(matrix, rows, one, other, notes)
    short = None
    if mine != theirs and all(cells):
        short = _index(one if mine < theirs else other)
        notes.add(f"{one}, {other}", f"{one}'s row says {cells[0]}, {other}'s says {cells[1]}: one-sided NVLink")
    elif mine != theirs:
        notes.add(f"{one}, {other}", "NVLink stated by one side, the other side is cut off: not counted")
    if level is None and not mine and not theirs:
        return None
    return GpuPair(a=_index(one), b=_index(other), level=level, nvlinks=min(mine, theirs) or None, nvlink_short=short)
