"""``nvidia-smi nvlink -s``: each GPU's NVLinks, up or down, and their rate; not where they lead to."""

import re

from msgspec.structs import replace

from nvtopo.model.assemble import assemble
from nvtopo.model.facts import GpuFacts, NvLink, NvmlFacts
from nvtopo.model.node import NodeTopology
from nvtopo.model.snapshot import Snapshot
from nvtopo.sources.foreign.given import MOST_DEVICES, Given, Notes

SOURCE = "nvidia-smi nvlink"
_GPU = re.compile(r"GPU ([0-9]{1,4}): (.{1,200}?) \(UUID: ([A-Za-z0-9-]{1,80})\)")
_LINK = re.compile(r"\bLink ([0-9]{1,3}): (?:([0-9]{1,5}(?:\.[0-9]{1,6})?) GB/s|<?inactive>?)", re.IGNORECASE)
_NO_LINKS = ("all links are inactive", "does not have or support nvlink", "mig mode")
_GIGABYTE = 1_000_000_000
_MOST_LINKS = 64


def looks_like(given: Given) -> bool:
    """Whether a GPU's line is in the text, with a link or the reason for none behind it."""
    return b"(UUID: " in given.content and any(_says_links(lines) for lines in _sections(given).values())


def read(given: Given) -> NodeTopology:
    """The node whose GPUs have these links.

    Raises:
        ParseError: it names more GPUs than a node has.
    """
    notes = Notes(SOURCE)
    sections = _sections(given)
    if len(sections) > MOST_DEVICES:
        raise given.refused(f"{len(sections)} GPUs", "the output of `nvidia-smi nvlink -s` of one node")
    gpus = [_gpu(index, lines, notes) for index, lines in sorted(sections.items())]
    hidden = sum(1 for gpu in gpus if any(link.state == "active" for link in gpu.nvlinks)) > 1
    if hidden:
        notes.add("NVLink", "`nvidia-smi nvlink -s` does not say where the links lead: `nvidia-smi topo -m` does")
    node = assemble(Snapshot(nvml=NvmlFacts(gpus=tuple(gpus)), problems=notes.problems))
    return replace(node, nvlink_hidden=hidden)


def _sections(given: Given) -> dict[int, list[str]]:
    """Each GPU's lines, its own first; a GPU that comes again begins another output, which is not read."""
    sections: dict[int, list[str]] = {}
    current: list[str] | None = None
    for line in given.lines:
        match = _GPU.search(line) if "UUID" in line else None
        if match is not None and int(match[1]) in sections and _says_links(sections[int(match[1])]):
            current = None
        elif match is not None:
            current = sections[int(match[1])] = [line]
        elif current is not None and len(current) <= 2 * _MOST_LINKS:
            current.append(line)
    return sections


def _says_links(lines: list[str]) -> bool:
    return any(_LINK.search(line) or _reason(line) for line in lines[1:])


def _reason(line: str) -> str:
    lowered = line[:200].lower()
    return next((reason for reason in _NO_LINKS if reason in lowered), "")


def _gpu(index: int, lines: list[str], notes: Notes) -> GpuFacts:
    match = _GPU.search(lines[0])
    links = {int(link[1]): link[2] for line in lines[1:] if (link := _LINK.search(line))}
    reason = next((found for line in lines[1:] if (found := _reason(line))), "")
    if not links and not reason:
        notes.add(f"GPU{index}", "nothing is said of its links: the input is cut")
    return GpuFacts(
        index=index,
        uuid=match[3] if match else "",
        name=match[2] if match else "",
        mig=True if reason == _NO_LINKS[-1] else None,
        nvlinks=tuple(
            NvLink(
                link=number,
                state="active" if rate else "inactive",
                bytes_per_second=round(float(rate) * _GIGABYTE) if rate else None,
            )
            for number, rate in sorted(links.items())[:_MOST_LINKS]
        ),
    )
