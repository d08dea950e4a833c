"""The legends below the matrix of ``nvidia-smi topo -m``: which levels it can show, and what its NICs are called."""

import re
from collections.abc import Iterable

from nvtopo.sources.foreign.given import Notes

_LEVELS = re.compile(r"(?:^|\s)(?:X|SYS|NODE|PHB|PXB|PIX|NV#)\s{1,8}= ")
#: A line of the legend, wherever a log puts it; the same letters in prose say nothing.
_NVLINK = re.compile(r"NV#\s{0,8}=")
_MOST_BLANKS = 40
_NIC = re.compile(
    r"NIC([0-9]{1,4}):\s{0,8}([A-Za-z][A-Za-z0-9_.-]{0,63})(?=\s*$|\s+NIC[0-9]|\s+\(|\s{0,8}(?:->|=>|\u2192|[,;|`*]))"
)
_NIC_LINE = re.compile(r"(?:^|[\s*\u2022-])NIC[0-9]{1,4}:")
#: What a wrapped header leaves in a legend: ends of its titles and of its columns (``A``, ``ity``, ``IC59``), levels.
_TORN = re.compile(
    r"N?I?C?[0-9]+|NIC?|IC|[CG]?P?U|N?U?M?A|ID?|NUMA?|NV[0-9]{1,2}|NODE|SYS|SOC|PHB|PXB|PIX|(?:(?:A?f)?f?i?n)?i?ty|Aff[a-z]*"
)


def has_levels(lines: Iterable[str]) -> bool:
    """Whether the legend of the levels is there."""
    return any(_LEVELS.search(line) for line in lines)


def names_nvlink(lines: Iterable[str]) -> bool:
    """Whether that legend has ``NV#``; that of ``topo -mp`` has none."""
    return any(_NVLINK.search(line) for line in lines)


def nic_names(lines: Iterable[str], columns: Iterable[str], notes: Notes) -> dict[str, str]:
    """Column → the NIC's name, of the columns that a legend line names; a line that is torn names none."""
    taken = set(columns)
    legend: dict[str, str] = {}
    for line in lines:
        if not _NIC_LINE.search(line):
            continue
        entry = _NIC.search(line)
        torn = entry is None or _TORN.fullmatch(entry[2]) or _NIC_LINE.search(line, entry.end(1) + 1)
        if torn:
            notes.add("NIC legend", "a line holds something else than one NIC's name")
        if entry is not None and not _TORN.fullmatch(entry[2]) and entry[2] not in taken:
            taken.add(entry[2])
            legend.setdefault(f"NIC{entry[1]}", entry[2])
    return legend
