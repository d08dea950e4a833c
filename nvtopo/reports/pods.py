"""What pods got, as a table for people and as records for programs."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from nvtopo.model.formats.printable import printable
from nvtopo.model.samples.audit import PodAudit
from nvtopo.reports.columns import columns

Node = tuple[list[PodAudit], str]
"""What its pods got, and why that is not known, if it is not."""
_HEAD: Final = ("NODE", "POD", "GPUS", "NVLINK GROUPS", "NICS", "NOTE")


def text(nodes: Mapping[str, Node]) -> str:
    """One line for each pod, and for each node of which nothing is known."""
    return "".join(f"{printable(line)}\n" for line in columns([_HEAD, *_rows(nodes)]))


def document(nodes: Mapping[str, Node]) -> dict[str, Any]:
    """The same for programs; what is not known is null."""
    return {
        name: {"unknown": unknown or None, "pods": [_entry(one) for one in audits]}
        for name, (audits, unknown) in nodes.items()
    }


def _rows(nodes: Mapping[str, Node]) -> Iterator[tuple[str, ...]]:
    for name, (audits, unknown) in nodes.items():
        if unknown:
            yield name, "?", "?", "?", "?", unknown
        for one in audits:
            yield (
                name,
                f"{one.namespace}/{one.pod}",
                _some((*map(str, one.gpus), *one.unidentified)),
                "?" if one.groups is None and (one.gpus or one.unidentified) else str(one.groups or "-"),
                _some((*one.nics, *one.resources)),
                "; ".join(_notes(one)),
            )


def _notes(one: PodAudit) -> Iterator[str]:
    if one.split:
        groups = "1 group" if one.fewest_groups == 1 else f"{one.fewest_groups} groups"
        yield f"its GPUs would fit in {groups}"
    if one.unidentified:
        yield "which GPU it holds is not known"
    if one.far_gpus:
        yield f"no NIC of it is nearest to GPU {', '.join(map(str, one.far_gpus))}"


def _some(names: Iterable[str]) -> str:
    return ",".join(names) or "-"


def _entry(one: PodAudit) -> dict[str, Any]:
    return {
        "namespace": one.namespace,
        "pod": one.pod,
        "gpus": list(one.gpus),
        "unidentified": list(one.unidentified),
        "nics": list(one.nics),
        "resources": list(one.resources),
        "nvlinkGroups": one.groups,
        "nvlinkGroupsPossible": one.fewest_groups,
        "gpusWithoutNearNic": None if one.far_gpus is None else list(one.far_gpus),
    }
