"""The table that ``nvidia-smi`` prints without options: GPUs, their addresses, whether they are in MIG mode."""

import re

from msgspec.structs import replace

from nvtopo.model.records.node import NodeTopology
from nvtopo.sources.foreign import smi_query_facts
from nvtopo.sources.foreign.given import MOST_DEVICES, Given, Notes
from nvtopo.sources.foreign.smi_query_facts import FieldReader

SOURCE = "nvidia-smi"
_VERSIONS = re.compile(r"(Driver|KMD|CUDA UMD|CUDA) Version: {0,4}([0-9.]{3,20})")
_GPU = re.compile(
    r"\|\s{1,4}([0-9]{1,4})\s{1,4}(\S.{0,60}?)\s{1,40}(?:On|Off|N/A|ERR!)?\s{0,4}"
    r"\|\s{1,4}([0-9A-F]{4,8}:[0-9A-F]{2}:[0-9A-F:.]{4}) "
)
_MIG = re.compile(r"(Enabled|Disabled)\*? {0,2}\|\s*$")
#: A fan or a power meter alone can answer with an error, of a GPU that works.
_ODD_ERRORS = 2
_BORDER = "+"


def looks_like(given: Given) -> bool:
    """Whether the table's title and a GPU's line are in the text."""
    return "| NVIDIA-SMI" in given.text and bool(_blocks(given.lines))


def read(given: Given) -> NodeTopology:
    """The node with these GPUs.

    Raises:
        ParseError: it names more GPUs than a node has.
    """
    blocks = _blocks(given.lines)
    if len(blocks) > MOST_DEVICES:
        raise given.refused(f"{len(blocks)} GPUs", "the table of `nvidia-smi` of one node")
    titles = [line[:200] for line in given.lines if line.startswith("| NVIDIA-SMI")][:1]
    versions = {match[1]: match[2] for title in titles for match in _VERSIONS.finditer(title)}
    driver = versions.get("KMD") or versions.get("Driver", "")
    cuda = versions.get("CUDA UMD") or versions.get("CUDA", "")
    gpus = {index: _answers(lines) for index, lines in sorted(blocks.items())}
    notes = Notes(SOURCE)
    last = next(line for line in reversed(given.lines) if line.strip())
    torn = last.startswith(_BORDER) and not last.rstrip().endswith(_BORDER)
    cut = torn or (last.startswith("|") and any(last[:200] in lines for lines in blocks.values()))
    if cut:
        notes.add("table", "it has no lower border: the input is cut")
    node = smi_query_facts.node(gpus, (driver, cuda), "", notes)
    return replace(node, unseen=("gpus",)) if cut else node


def _blocks(lines: list[str]) -> dict[int, list[str]]:
    """Each GPU's lines; the table of processes has no addresses, and a second table is not read."""
    blocks: dict[int, list[str]] = {}
    current: list[str] = []
    for line in lines:
        match = _GPU.match(line[:200]) if line.startswith("|") else None
        if match is not None:
            current = [line[:200]]
            blocks.setdefault(int(match[1]), current)
        elif line.startswith(_BORDER) or not line.startswith("|"):
            current = []
        elif current:
            current.append(line[:200])
    return blocks


def _answers(lines: list[str]) -> FieldReader:
    match = _GPU.match(lines[0])
    mig = next((found[1] for line in lines if (found := _MIG.search(line))), "")
    error = "ERR!" if sum(line.count("ERR!") for line in lines) > _ODD_ERRORS else ""
    answers = {"name": match[2], "address": match[3], "mig": mig, "memory": error} if match else {}
    return lambda field: answers.get(field, "")
