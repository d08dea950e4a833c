"""``nvidia-smi topo -m`` and ``-mp``: levels that the driver states, without addresses.

An NVLink counts where both rows state it. A GPU whose own row shows SYS where the others show NV6 has lost its links
(seen on a 4-GPU H100 board): the pairs are one-sided, and that GPU is the degraded one.
"""

import re
from collections.abc import Iterator
from typing import Literal, cast

from nvtopo.model.records.node import Gpu, GpuPair, Nic, NodeTopology
from nvtopo.model.records.places import StatedLevel, Unseen
from nvtopo.sources.foreign.given import Given, Notes
from nvtopo.sources.foreign.other_matrices import states_topology
from nvtopo.sources.foreign.smi_topo_affinity import NO_AFFINITY, is_cut, read_affinity
from nvtopo.sources.foreign.smi_topo_legend import has_levels, names_nvlink, nic_names
from nvtopo.sources.foreign.smi_topo_matrix import SOURCE, Matrix, Row, matrices, sound_rows, unnamed

Level = Literal["PIX", "PXB", "PHB", "NODE", "SYS"]

_LEVELS = {name: name for name in ("PIX", "PXB", "PHB", "NODE", "SYS")} | {"SOC": "SYS"}
_PCI_VIEW = re.compile(r"\btopo (?:-mp|--matrix_pci)\b")
_WHOLE_VIEW = re.compile(r"\btopo (?:-m|--matrix)\b")


def looks_like(given: Given) -> bool:
    """Whether a matrix of NVIDIA's tool with at least one row is in the text."""
    return next(_topologies(given), None) is not None


def read(given: Given) -> NodeTopology:
    """The node of the first matrix in the text.

    Raises:
        ParseError: the matrix contradicts itself in its header.
    """
    notes = Notes(SOURCE)
    found = _topologies(given)
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
        nvlink_hidden=_hides_nvlink(matrix, rows, given, notes),
        unseen=_unseen(matrix, rows),
        problems=notes.problems,
    )


def _topologies(given: Given) -> Iterator[Matrix]:
    """The matrices that state levels, less those of peer access and of other makers."""
    return (matrix for matrix in matrices(given) if states_topology(_between_gpus(matrix), given))


def _between_gpus(matrix: Matrix) -> list[str]:
    gpus = _gpus(matrix)
    rows = ((label, matrix.rows[label].cells) for label in gpus if label in matrix.rows)
    return [cells[matrix.positions[gpu]] for _, cells in rows for gpu in gpus if matrix.positions[gpu] < len(cells)]


def _gpus(matrix: Matrix) -> list[str]:
    return [label for label in matrix.labels if _is_gpu(label)]


def _is_gpu(label: str) -> bool:
    return label.startswith("GPU") and label[3:].isdecimal()


def _index(label: str) -> int:
    return int(label[3:])


def _hides_nvlink(matrix: Matrix, rows: dict[str, Row], given: Given, notes: Notes) -> bool:
    """``topo -mp`` prints no NV#, neither in cells nor in its legend, whatever the machine has.

    A job sees some of a machine's GPUs; of what joins the others nothing is known, nor of rows that are not there.
    """
    gpus = sorted(_index(label) for label in _gpus(matrix))
    if gpus != list(range(len(gpus))):
        notes.add("GPUs", f"GPU{', GPU'.join(map(str, gpus))} of a machine with more: which groups it has is not known")
        return True
    if any(cell.startswith("NV") for row in matrix.rows.values() for cell in row.cells):
        return False
    if 2 * sum(1 for label in _gpus(matrix) if label in rows) < len(gpus):
        notes.add("NVLink", "most rows are missing: which GPUs NVLink joins is not known")
        return True
    begun = has_levels(matrix.after) or any(line.lstrip(" #>*").startswith("Legend") for line in matrix.after)
    if begun and not names_nvlink(matrix.after):
        notes.add("NVLink", "the legend has no NV#, as that of `topo -mp`: the input can't show NVLink")
        return True
    if _PCI_VIEW.search(given.text) and not _WHOLE_VIEW.search(given.text):
        notes.add("NVLink", "the input is of `topo -mp`, which can't show NVLink")
        return True
    return False


def _unseen(matrix: Matrix, rows: dict[str, Row]) -> tuple[Unseen, ...]:
    """Rows that are missing, cut or torn leave paths open, and gaps between the numbers of GPUs leave GPUs out."""
    gpus = _gpus(matrix)
    whole = all(label in rows and len(rows[label].cells) == len(matrix.labels) for label in gpus)
    if sorted(map(_index, gpus)) != list(range(len(gpus))) or unnamed(matrix):
        return ("gpus",)
    return () if whole else ("paths",)


def _nic_names(matrix: Matrix, notes: Notes) -> dict[str, str]:
    """Column → the NIC's name: the legend's, else the column's label."""
    legend = nic_names(matrix.after, matrix.labels, notes)
    return {
        label: legend.get(label, label)
        for label in matrix.labels
        if not _is_gpu(label) and not label.startswith("NVMe")
    }


def _gpu(label: str, rows: dict[str, Row], matrix: Matrix, notes: Notes) -> Gpu:
    row = rows.get(label)
    affinity = read_affinity(row.tail, row.at, matrix.columns) if row else NO_AFFINITY
    if affinity is None:
        notes.add(label, "its CPU and NUMA affinity can't be read")
        affinity = NO_AFFINITY
    if is_cut(affinity.cpus):
        notes.add(label, f"its CPU list is longer than {affinity.cpus}: this driver's tool cuts it")
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
