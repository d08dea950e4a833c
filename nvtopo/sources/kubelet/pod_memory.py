"""Memory limits of pods that hold devices, and how often one was refused memory at its limit.

The kubelet's checkpoints name the pods: that of its device manager those with devices of device plugins, that of DRA
(k8s.io/kubernetes/pkg/kubelet/cm/dra/state) those with claims. Their cgroups (v2) have limit and events. Memory that
CUDA, NCCL and RDMA pin counts there, and can't be reclaimed.
"""

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from nvtopo.errors import ParseError
from nvtopo.model.formats import limits
from nvtopo.model.records.facts import PodMemory
from nvtopo.model.records.record import Name
from nvtopo.sources.kubelet import pod_cgroups
from nvtopo.sources.sysfs import SysfsReader
from nvtopo.wire.documents import Json

_PLUGINS: Final = "device-plugins/kubelet_internal_checkpoint"
_CLAIMS: Final = "dra_manager_state"
_REFUSED: Final = re.compile(r"^oom (\d+)$", re.MULTILINE)
_MOST: Final = 1024


class _Entry(msgspec.Struct):
    PodUID: Name = ""
    ResourceName: Name = ""


class _Data(msgspec.Struct):
    PodDeviceEntries: Annotated[list[_Entry], Meta(max_length=1 << 16)] | None = None


class _Checkpoint(msgspec.Struct):
    Data: _Data


class _Claim(msgspec.Struct):
    PodUIDs: Annotated[dict[Name, Any], Meta(max_length=1024)] = {}
    DriverState: Annotated[dict[Name, Any], Meta(max_length=1024)] = {}


class _Claims(msgspec.Struct):
    """Kubernetes 1.31 has another name for the list than later releases."""

    ClaimInfoStateList: Annotated[list[_Claim], Meta(max_length=1 << 16)] | None = None
    Entries: Annotated[list[_Claim], Meta(max_length=1 << 16)] | None = None


class _ClaimCheckpoint(msgspec.Struct):
    Data: str
    """JSON."""


_CHECKPOINT: Final = Json(_Checkpoint, "the device manager's checkpoint")
_CLAIM_CHECKPOINT: Final = Json(_ClaimCheckpoint, "the checkpoint of DRA")
_CLAIM_LIST: Final = Json(_Claims, "the claims in the checkpoint of DRA")

Held = set[tuple[str, str]]
"""UID of a pod, and a resource of device plugins or a driver of claims."""


def read(reader: SysfsReader, home: str) -> tuple[PodMemory, ...] | None:
    """The pods with devices, by UID; None if neither checkpoint, or not the pods' cgroups, can be read here."""
    found = [_held(reader, f"{home}/{_PLUGINS}", _of_plugins), _held(reader, f"{home}/{_CLAIMS}", _of_claims)]
    known = [held for held in found if held is not None]
    if not known:
        return None
    resources: dict[str, set[str]] = {}
    for uid, name in set[tuple[str, str]]().union(*known):
        resources.setdefault(uid, set()).add(name)
    cgroups = pod_cgroups.by_uid(reader) if resources else {}
    return tuple(_pods(reader, resources, cgroups))[:_MOST] if cgroups or not resources else None


def _held(reader: SysfsReader, path: str, of: Callable[[bytes], Held]) -> Held | None:
    content = reader.content(path) if reader.is_file(path) else None
    if not content:
        return None
    try:
        return of(content)
    except ParseError as error:
        reader.problem(path, str(error))
        return None


def _of_plugins(content: bytes) -> Held:
    return {(entry.PodUID, entry.ResourceName) for entry in _CHECKPOINT.read(content).Data.PodDeviceEntries or ()}


def _of_claims(content: bytes) -> Held:
    listed = _CLAIM_LIST.read(_CLAIM_CHECKPOINT.read(content).Data.encode())
    claims = listed.ClaimInfoStateList or listed.Entries or ()
    return {(uid, driver) for claim in claims for uid in claim.PodUIDs for driver in claim.DriverState}


def _pods(reader: SysfsReader, resources: dict[str, set[str]], cgroups: dict[str, str]) -> Iterator[PodMemory]:
    """Those that run: the device manager's checkpoint keeps a pod until another one wants its devices."""
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
