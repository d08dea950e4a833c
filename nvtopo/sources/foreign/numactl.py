"""``numactl -H``: NUMA nodes, their CPUs, memory and distances."""

import re
from typing import Final

from nvtopo.model.formats.cpulist import format_cpulist
from nvtopo.model.records.facts import NumaNode
from nvtopo.model.records.node import NodeTopology
from nvtopo.sources.foreign.given import MOST_DEVICES, Given, Notes

SOURCE: Final = "numactl -H"
_AVAILABLE: Final = re.compile(r"\s*available: ([0-9]{1,4}) nodes \(")
_CPUS: Final = re.compile(r"\s*node ([0-9]{1,4}) cpus:((?: [0-9]{1,5}){0,4096})\s*")
_SIZE: Final = re.compile(r"\s*node ([0-9]{1,4}) size: ([0-9]{1,9}) MB\s*")
_DISTANCE: Final = re.compile(r"\s*([0-9]{1,4}): ((?: {1,4}[0-9]{1,3}){1,1024})\s*")
_MEBIBYTE: Final = 1 << 20


def looks_like(given: Given) -> bool:
    """Whether a node's CPUs are in the text, as this tool lists them."""
    return " cpus:" in given.text and any(_CPUS.fullmatch(line) for line in given.lines if " cpus:" in line)


def read(given: Given) -> NodeTopology:
    """The node that has these NUMA nodes.

    Raises:
        ParseError: it names more NUMA nodes than a machine has.
    """
    notes = Notes(SOURCE)
    cpus = {int(match[1]): match[2].split() for match in map(_CPUS.fullmatch, given.lines) if match}
    sizes = {int(match[1]): int(match[2]) for match in map(_SIZE.fullmatch, given.lines) if match}
    distances = {int(match[1]): match[2].split() for match in map(_DISTANCE.fullmatch, given.lines) if match}
    if len(cpus) > MOST_DEVICES:
        raise given.refused(f"{len(cpus)} NUMA nodes", "the output of `numactl -H` of one node")
    stated = next((int(match[1]) for match in map(_AVAILABLE.match, given.lines) if match), len(cpus))
    if stated != len(cpus):
        notes.add("NUMA", f"{stated} nodes are available, {len(cpus)} are described: the input is cut")
    numa = tuple(
        _numa(index, cpus[index], sizes.get(index), distances.get(index, ()), len(cpus)) for index in sorted(cpus)
    )
    return NodeTopology(numa=numa, nvlink_hidden=True, problems=notes.problems)


def _numa(
    index: int, cpus: list[str], megabytes: int | None, distances: "list[str] | tuple[()]", count: int
) -> NumaNode:
    return NumaNode(
        index=index,
        cpus=format_cpulist(sorted({int(cpu) for cpu in cpus})),
        memory_bytes=None if megabytes is None else megabytes * _MEBIBYTE,
        distances=tuple(map(int, distances)) if len(distances) == count else (),
    )
