"""Memory limits of pods that hold devices, and how often one was refused memory at its limit.

The kubelet's checkpoint of its device manager names the pods; their cgroups (v2) have limit and events. Memory that
CUDA, NCCL and RDMA pin counts there, and can't be reclaimed.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from nvtopo.errors import ParseError
from nvtopo.model.formats import limits
from nvtopo.model.records.facts import PodMemory
from nvtopo.model.records.record import Name
from nvtopo.sources.kubelet import pod_cgroups
from nvtopo.sources.sysfs import SysfsReader
from nvtopo.wire.documents import Json

_FILE: Final = "device-plugins/kubelet_internal_checkpoint"
_REFUSED: Final = re.compile(r"^oom (\d+)$", re.MULTILINE)
_MOST: Final = 1024


class _Entry(msgspec.Struct):
    PodUID: Name = ""
    ResourceName: Name = ""


class _Data(msgspec.Struct):
    PodDeviceEntries: Annotated[list[_Entry], Meta(max_length=1 << 16)] | None = None


class _Checkpoint(msgspec.Struct):
    Data: _Data


_CHECKPOINT: Final = Json(_Checkpoint, "the device manager's checkpoint")


def read(reader: SysfsReader, home: str) -> tuple[PodMemory, ...] | None:
    """The pods with devices, by UID; None if the checkpoint, or the pods' cgroups, can't be read here."""
    path = f"{home}/{_FILE}"
    content = reader.content(path) if reader.is_file(path) else None
    if not content:
        return None
    try:
        entries = _CHECKPOINT.read(content).Data.PodDeviceEntries or []
    except ParseError as error:
        reader.problem(path, str(error))
        return None
    resources: dict[str, set[str]] = {}
    for entry in entries:
        resources.setdefault(entry.PodUID, set()).add(entry.ResourceName)
    cgroups = pod_cgroups.by_uid(reader) if resources else {}
    return tuple(_pods(reader, resources, cgroups))[:_MOST] if cgroups or not resources else None


def _pods(reader: SysfsReader, resources: dict[str, set[str]], cgroups: dict[str, str]) -> Iterator[PodMemory]:
    """Those that run: the checkpoint keeps a pod until another one wants its devices."""
    for uid, names in sorted(resources.items()):
        path = cgroups.get(uid)
        if path is None:
            continue
        limit, events = reader.text(f"{path}/memory.max"), reader.text(f"{path}/memory.events")
        refused = _REFUSED.search(events or "")
        yield PodMemory(
            uid=uid,
            resources=tuple(sorted(names))[: limits.MOST_ATTRIBUTES],
            limit_bytes=int(limit) if limit and limit.isdecimal() else None,
            refused=int(refused[1]) if refused else None,
        )
