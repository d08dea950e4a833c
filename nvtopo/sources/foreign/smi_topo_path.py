"""``nvidia-smi topo -p -i A,B``: the way between two GPUs, in words."""

import re
from typing import Final, Literal

from nvtopo.model.records.node import Gpu, GpuPair, NodeTopology
from nvtopo.sources.foreign.given import MOST_GPUS, Given, Notes

SOURCE: Final = "nvidia-smi topo -p"
_LINE: Final = re.compile(r"Device ([0-9]{1,4}) is connected to device ([0-9]{1,4}) by way of (.{1,160})")
_MAKERS: Final = re.compile(r"\b(?:ppu|mx|ix|hx)-?smi\b")

Level = Literal["PIX", "PXB", "PHB", "NODE", "SYS"]
#: The first that fits; ``potentially multiple PCIe switches`` is what newer drivers say.
_WORDS: Final[tuple[tuple[str, Level], ...]] = (
    ("smp", "SYS"),
    ("between numa nodes", "SYS"),
    ("system", "SYS"),
    ("within a numa node", "NODE"),
    ("between pcie host bridges", "NODE"),
    ("host bridge", "PHB"),
    ("multiple", "PXB"),
    ("single", "PIX"),
    ("internal", "PIX"),
)


def looks_like(given: Given) -> bool:
    """Whether such a sentence of NVIDIA's tool is in the text; another maker's has the same words."""
    return "by way of" in given.text and _LINE.search(given.text) is not None and not _MAKERS.search(given.text)


def read(given: Given) -> NodeTopology:
    """The node of these GPUs, which may have more.

    Raises:
        ParseError: it names more GPUs than a node has.
    """
    notes = Notes(SOURCE)
    found: dict[tuple[int, int], Level | None] = {}
    for line in given.lines:
        match = _LINE.search(line[:400])
        if match is not None and match[1] != match[2]:
            a, b = sorted((int(match[1]), int(match[2])))
            found.setdefault((a, b), _level(match[3]))
    indices = sorted({index for pair in found for index in pair})
    if len(indices) > MOST_GPUS:
        raise given.refused(f"{len(indices)} GPUs", "the output of `nvidia-smi topo -p` of one node")
    for (a, b), level in found.items():
        if level is None:
            notes.add(f"GPU{a}-GPU{b}", "the way between them is not one that is known")
    notes.add("NVLink", "`nvidia-smi topo -p` shows the way over PCIe alone: `nvidia-smi topo -m` shows both")
    return NodeTopology(
        gpus=tuple(Gpu(index=index, uuid="") for index in indices),
        pairs=tuple(GpuPair(a=a, b=b, level=level) for (a, b), level in sorted(found.items()) if level is not None),
        nvlink_hidden=True,
        unseen=("gpus",),
        problems=notes.problems,
    )


def _level(words: str) -> Level | None:
    lowered = words.lower()
    return next((level for word, level in _WORDS if word in lowered), None)
