"""``nvidia-smi -q | grep -A Fabric``: the fabric states of GPUs whose own lines were left out, in their order."""

import re
from typing import Final

from msgspec.structs import replace

from nvtopo.model.records.node import NodeTopology
from nvtopo.sources.foreign import smi_query, smi_query_facts
from nvtopo.sources.foreign.given import MOST_DEVICES, Given, Notes

_TITLE: Final = re.compile(r"\s{0,80}Fabric\s*")
_STATE: Final = re.compile(r"\s{1,80}State\s{1,60}: \S")
_MOST_LINES: Final = 24


def looks_like(given: Given) -> bool:
    """Whether a state below such a title is in the text, and no output that names the GPUs."""
    return "Fabric" in given.text and not smi_query.looks_like(given) and bool(_blocks(given.lines))


def read(given: Given) -> NodeTopology:
    """The node of these GPUs, of which there may be more, numbered in the order of the text.

    Raises:
        ParseError: there are more of them than a node has.
    """
    notes = Notes(smi_query_facts.SOURCE)
    blocks = _blocks(given.lines)
    if len(blocks) > MOST_DEVICES:
        raise given.refused(f"{len(blocks)} GPUs", "the output of `nvidia-smi -q` of one node")
    notes.add("GPUs", "their own lines are left out: they are numbered in their order")
    answers = {index: smi_query.answers("", lines) for index, lines in enumerate(blocks)}
    return replace(smi_query_facts.node(answers, ("", ""), "", notes), unseen=("gpus",))


def _blocks(lines: list[str]) -> list[list[str]]:
    """Each title with what is indented below it."""
    blocks: list[list[str]] = []
    current: list[str] | None = None
    indent = 0
    for position, line in enumerate(lines):
        depth = len(line) - len(line.lstrip(" "))
        if _TITLE.fullmatch(line[:200]) and position + 1 < len(lines) and _STATE.match(lines[position + 1][:200]):
            current, indent = [line], depth
            blocks.append(current)
        elif current is not None and depth > indent and len(current) < _MOST_LINES:
            current.append(line[:200])
        else:
            current = None
    return blocks
