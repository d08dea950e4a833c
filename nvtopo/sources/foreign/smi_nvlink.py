"""``nvidia-smi nvlink`` with ``-s``, ``-R``, ``-c``, ``-e``, and ``nvidia-smi -L``: GPUs, their NVLinks, their ends.

All head what they say of a GPU alike, so several of them in one text are one. ``-R`` numbers the links that are up
without the gaps that ``-s`` has between them (seen on H100 PCIe: 12 links at 0-3, 6-9 and 12-15 of 18).
"""

import re
from typing import NamedTuple

from msgspec.structs import replace

from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.formats.address import PciAddress, is_pci_address, parse_pci_address
from nvtopo.model.records.facts import GpuFacts, NvmlFacts
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.nvlinks import NvLink
from nvtopo.model.records.record import Problem
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sources.foreign.given import MOST_DEVICES, Given, Notes

SOURCE = "nvidia-smi nvlink"
#: In the line that heads what is said of a GPU.
_HEADS = "(UUID: "
_GPU = re.compile(r"GPU ([0-9]{1,4}): (.{1,200}?) ?\(UUID: ([^)]{0,80})\)?")
_UUID = re.compile(r"GPU-[A-Za-z0-9-]{1,76}")
_STATE = re.compile(r"\bLink ([0-9]{1,3}): (?:([0-9]{1,5}(?:\.[0-9]{1,6})?) GB/s|<?inactive>?)", re.IGNORECASE)
_REMOTE = re.compile(r"\bLink ([0-9]{1,3}): Remote Device ([0-9A-Fa-f:.]{7,20}): Link ([0-9]{1,3})\b")
_CAPABILITY = re.compile(r"\bLink ([0-9]{1,3}), Link is supported: true")
_ERRORS = re.compile(r"\bLink ([0-9]{1,3}): (?:Replay|Recovery|CRC)[A-Za-z ]{0,20} Errors: ")
#: What a line that is not whole may begin with.
_PART = re.compile(r"\s*(?:L|Li|Lin|Link .*|G|GP|GPU .*)")
_MIG_DEVICE = re.compile(r"\s{1,8}MIG \S{1,40}\s{1,40}Device\s{1,8}[0-9]{1,3}: \(UUID: ")
_NO_LINKS = ("all links are inactive", "does not have or support nvlink", "mig mode")
_GIGABYTE = 1_000_000_000
_MOST_LINKS = 64
_MOST_LINES = 8 * _MOST_LINKS


class Said(NamedTuple):
    """What the outputs say of one GPU's links."""

    rates: dict[int, str | None]
    """``-s``: link → its rate in GB/s; None where it is inactive."""
    ends: dict[int, tuple[PciAddress, int]]
    """``-R``: link → the function and the link at its other end."""
    supported: int | None
    """``-c``: how many there are."""
    reason: str
    """``-s``: why there are none."""


def looks_like(given: Given) -> bool:
    """Whether a GPU's line is in the text."""
    return _HEADS in given.text and any(_GPU.search(line[:400]) for line in given.lines if _HEADS in line)


def read(given: Given) -> NodeTopology:
    """The node whose GPUs have these links.

    Raises:
        ParseError: it names more GPUs than a node has.
    """
    notes = Notes(SOURCE)
    sections = _bounded_sections(given)
    said = {index: _said(lines) for index, lines in sections.items()}
    cut = _cut(said, sections, notes)
    gpus = [
        replace(_gpu(index, sections[index], links, notes), nvlinks_unknown=index in cut)
        for index, links in said.items()
    ]
    _note_silent(said, notes)
    hidden = _hides(said, notes)
    node = assemble(Snapshot(nvml=NvmlFacts(gpus=tuple(gpus)), problems=notes.problems))
    # One GPU alone with a link that is up: something is at its other end, which `-i` or a cut left out.
    alone = len(said) == 1 and any(rate for links in said.values() for rate in links.rates.values())
    joined = any(line.count(_HEADS) > 1 for line in given.lines)  # lines of several GPUs that lost what ends them
    torn = any(_PART.fullmatch(line) and not _known(line) for line in given.lines[-1:])
    in_part = alone or joined or torn or bool(cut) or [*said] != list(range(len(said)))
    return replace(node, nvlink_hidden=hidden, unseen=("gpus",) if in_part else ())


def read_links(given: Given) -> tuple[tuple[GpuFacts, ...], tuple[Problem, ...]]:
    """The GPUs with each of their links apart, as the text has them, and what could not be read of them.

    Raises:
        ParseError: it names more GPUs than a node has.
    """
    notes = Notes(SOURCE)
    sections = _bounded_sections(given)
    gpus = tuple(_gpu(index, lines, _said(lines), notes) for index, lines in sections.items())
    return gpus, notes.problems


def _bounded_sections(given: Given) -> dict[int, list[str]]:
    sections = _sections(given)
    if len(sections) > MOST_DEVICES:
        raise given.refused(f"{len(sections)} GPUs", "the output of `nvidia-smi nvlink` of one node")
    return dict(sorted(sections.items()))


def _sections(given: Given) -> dict[int, list[str]]:
    """Each GPU's lines, its own first, of all outputs in the text."""
    sections: dict[int, list[str]] = {}
    current: list[str] = []
    for line in given.lines:
        match = _GPU.search(line[:400]) if _HEADS in line else None
        if match is not None:
            current = sections.setdefault(int(match[1]), [line[:400]])
        elif len(current) <= _MOST_LINES:
            current.append(line[:400])
    return sections


def _said(lines: list[str]) -> Said:
    rates: dict[int, str | None] = {}
    ends: dict[int, tuple[PciAddress, int]] = {}
    count = 0
    for line in lines[1:]:
        state, remote = _STATE.search(line), _REMOTE.search(line)
        if remote is not None and is_pci_address(remote[2]):
            ends.setdefault(int(remote[1]), (parse_pci_address(remote[2]), int(remote[3])))
        elif state is not None:
            rates.setdefault(int(state[1]), state[2])
        elif _CAPABILITY.search(line):
            count += 1
    return Said(rates, ends, count or None, next((found for line in lines[1:] if (found := _reason(line))), ""))


def _reason(line: str) -> str:
    lowered = line[:200].lower()
    return next((reason for reason in _NO_LINKS if reason in lowered), "")


def _gpu(index: int, lines: list[str], said: Said, notes: Notes) -> GpuFacts:
    match = _GPU.search(lines[0])
    uuid = match[3] if match and _UUID.fullmatch(match[3]) else ""
    under_mig = said.reason == _NO_LINKS[-1] or any(_MIG_DEVICE.match(line) for line in lines[1:])
    return GpuFacts(
        index=index,
        uuid=uuid,
        name=match[2].strip() if match else "",
        mig=True if under_mig else None,
        nvlink_count=said.supported,
        nvlinks=_links(index, said, notes),
    )


def _links(index: int, said: Said, notes: Notes) -> tuple[NvLink, ...]:
    ends = _placed(index, said, notes)
    numbers = sorted({*said.rates, *ends})[:_MOST_LINKS]
    return tuple(
        NvLink(
            link=number,
            state=None if number not in said.rates else "active" if said.rates[number] else "inactive",
            bytes_per_second=round(float(rate) * _GIGABYTE) if (rate := said.rates.get(number)) else None,
            remote_address=ends[number][0] if number in ends else None,
            remote_link=ends[number][1] if number in ends else None,
        )
        for number in numbers
    )


def _placed(index: int, said: Said, notes: Notes) -> dict[int, tuple[PciAddress, int]]:
    """The other ends by the numbers that ``-s`` gives to links; none where the two do not fit together."""
    active = sorted(number for number, rate in said.rates.items() if rate)
    if not said.rates or not said.ends or said.ends.keys() <= set(active):
        return said.ends
    if len(active) == len(said.ends):
        return dict(zip(active, (said.ends[number] for number in sorted(said.ends)), strict=True))
    notes.add(f"GPU{index}", f"{len(active)} links are up, and {len(said.ends)} lead somewhere: which is not known")
    return {}


def _known(line: str) -> bool:
    return any(known.search(line[:400]) for known in (_GPU, _STATE, _REMOTE, _CAPABILITY, _ERRORS))


def _cut(said: dict[int, Said], sections: dict[int, list[str]], notes: Notes) -> set[int]:
    """GPUs of which fewer links are described than of others of their product: ``-s`` has a line for each link."""
    names = {index: match[2] for index, lines in sections.items() if (match := _GPU.search(lines[0]))}
    most: dict[str, int] = {}
    for index, name in names.items():
        most[name] = max(most.get(name, 0), len(said[index].rates))
    found = {index for index, name in names.items() if 0 < len(said[index].rates) < most[name]}
    described = [index for index, links in said.items() if links.rates]
    if 0 < len(described) < len(said):
        found.add(described[-1])  # the text ends after it, or within it
    for index in found:
        notes.add(f"GPU{index}", f"only {len(said[index].rates)} of its links may be described: the input is cut")
    return found


def _note_silent(said: dict[int, Said], notes: Notes) -> None:
    """Where some GPUs' links are described, those of the others were cut off."""
    silent = [index for index, links in said.items() if not any(links)]
    if len(silent) < len(said):
        for index in silent:
            notes.add(f"GPU{index}", "nothing is said of its links: the input is cut")


def _hides(said: dict[int, Said], notes: Notes) -> bool:
    """Whether it stays open which GPUs NVLink joins."""
    if all(links.reason in _NO_LINKS[:2] or (links.rates and not any(links.rates.values())) for links in said.values()):
        return False
    if len(said) < 2:  # noqa: PLR2004 - one GPU alone has no pair
        return not any(links.rates or links.reason for links in said.values())
    notes.add("NVLink", "`nvidia-smi nvlink` and `-L` do not say which GPUs it joins: `nvidia-smi topo -m` does")
    return True
