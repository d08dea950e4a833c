"""What happened to a node, for those who read its Kubernetes Events: changes and NVML's events, gathered by reason."""

import re
from collections.abc import Iterator
from typing import Final, Literal

from nvtopo.model import fabric
from nvtopo.model.changes import Change, changes
from nvtopo.model.node import Gpu, NodeTopology
from nvtopo.model.nvlink import unanswered
from nvtopo.model.nvml_events import OF_APPLICATIONS, XIDS, NvmlEvent
from nvtopo.model.record import Record

Type = Literal["Normal", "Warning"]
Verdict = tuple[Type, str]
"""Type and reason."""

#: What an Event's note may hold (events.k8s.io/v1).
LONGEST_NOTE_BYTES: Final = 1024
_MORE_BYTES: Final = 32
_GPU: Final = re.compile(r"GPU[0-9]+")
_UP: Final = ("ACTIVE", "up")
#: Facts of a thing whose name says enough, whichever way they changed.
_REASONS: Final = {
    "driver version": "DriverChanged",
    "NVLink groups": "NVLinkGroupsChanged",
    "nearest NICs": "NearestNICsChanged",
    "MIG": "MIGChanged",
}
_PROBLEM: Final = "problem with "
_OF_THE_DRIVER: Final = ("driver version", "CUDA version", "NVLink groups", "NVLink domain")
_NVML: Final = {
    "xid": ("XidError", "XID without a number"),
    "double-bit-ecc": ("DoubleBitECC", "double-bit ECC error"),
    "single-bit-ecc-storm": ("SingleBitECCStorm", "storm of single-bit ECC errors"),
    "dram-retirement": ("DramRetirement", "memory retired"),
    "dram-retirement-failure": ("DramRetirementFailure", "memory could not be retired"),
    "poison": ("Poison", "poisoned memory was used"),
    "fatal-poison": ("FatalPoison", "poisoned memory was used, fatally"),
    "gpu-unavailable": ("GPUUnavailable", "GPU unavailable"),
    "recovery-action": ("RecoveryAction", "what it takes to recover the GPU changed"),
    "gpu-lost": ("GPULost", "a GPU is lost"),
}


class Happening(Record, frozen=True, kw_only=True):
    """What one Kubernetes Event says."""

    type: Type
    reason: str
    """CamelCase, for programs."""
    note: str
    """For people, and at most 1024 bytes: the same words again are the same series."""


def of_changes(
    before: NodeTopology, after: NodeTopology, answered: NodeTopology | None = None
) -> tuple[Happening, ...]:
    """One for each reason, in the order of their first change.

    GPUs of a driver that does not answer are not gone: they are not known. So what the driver says is compared with
    ``answered``, the last node where it did, once it does again.
    """
    found = changes(before, after)
    if unanswered(before) or unanswered(after):
        found = tuple(change for change in found if not _is_the_drivers(change))
        if answered is not None and not unanswered(after):
            found += tuple(change for change in changes(answered, after) if _is_the_drivers(change))
    gathered: dict[Verdict, list[Change]] = {}
    for change in found:
        gathered.setdefault(_verdict(change, before, after), []).append(change)
    return tuple(
        Happening(type=type_, reason=reason, note=_note(list(_texts(found))))
        for (type_, reason), found in gathered.items()
    )


def of_nvml(event: NvmlEvent) -> Happening:
    """An XID with its number and, where NVIDIA's catalogue has it, its meaning; another event in words."""
    whose = f"GPU{event.gpu} ({event.uuid}): " if event.gpu is not None else ""
    if event.xid is None:
        return Happening(type="Warning", reason=_NVML[event.kind][0], note=whose + _NVML[event.kind][1])
    meaning = f": {XIDS[event.xid]}" if event.xid in XIDS else ""
    return Happening(
        type="Normal" if event.xid in OF_APPLICATIONS else "Warning",
        reason="XidError",
        note=f"{whose}XID {event.xid}{meaning}",
    )


def _texts(found: list[Change]) -> Iterator[str]:
    """Changes in words; of problems, those with one reason together."""
    sharing: dict[str, list[str]] = {}
    for change in found:
        if change.subject.startswith(_PROBLEM):
            reason = change.after or f"no longer so: {change.before}"
            sharing.setdefault(reason, []).append(change.subject.removeprefix(_PROBLEM))
        else:
            yield change.text
    yield from (f"{', '.join(subjects)}: {reason}" for reason, subjects in sharing.items())


def _is_the_drivers(change: Change) -> bool:
    """Whether it is of what the driver alone says, or follows from that."""
    return _GPU.match(change.subject) is not None or change.fact in _OF_THE_DRIVER


def _note(texts: list[str]) -> str:
    """As many as fit, and how many do not."""
    kept: list[str] = []
    size = 0
    for text in texts:
        size += len(text.encode()) + 2
        if size > LONGEST_NOTE_BYTES - _MORE_BYTES:
            break
        kept.append(text)
    left = len(texts) - len(kept)
    if not kept:
        return texts[0].encode()[: LONGEST_NOTE_BYTES - _MORE_BYTES].decode(errors="ignore") + " …"
    return "; ".join(kept) + (f"; and {left} more" if left else "")


def _verdict(change: Change, before: NodeTopology, after: NodeTopology) -> Verdict:
    if change.subject.startswith(_PROBLEM):
        return ("Normal", "ReadableAgain") if change.after is None else ("Warning", "Unreadable")
    kind = _kind(change.subject, before, after)
    if change.before is None or change.after is None:
        return ("Normal", f"{kind}Added") if change.before is None else ("Warning", f"{kind}Gone")
    if change.fact == "NVLink domain":
        return ("Warning" if change.after == "none" else "Normal", "NVLinkDomainChanged")
    if change.fact in _REASONS:
        return ("Normal", _REASONS[change.fact])
    return next(_of_gpu(change, before, after) if kind == "GPU" else _of_nic(change), ("Normal", f"{kind}Changed"))


def _of_gpu(change: Change, before: NodeTopology, after: NodeTopology) -> Iterator[Verdict]:
    one, other = (_gpu(change.subject, node) for node in (before, after))
    if change.fact == "NVLinks training":
        yield ("Normal", "NVLinksTraining" if change.after == "yes" else "NVLinksTrained")
    if change.fact == "PCIe link width":
        narrowed = _number(change.after) < _number(change.before)
        yield ("Warning", "PCIeLinkNarrowed") if narrowed else ("Normal", "PCIeLinkWidened")
    if one is None or other is None:
        return
    if change.fact == "NVLinks":
        fell = _usable(other) < _usable(one)
        yield ("Warning", "NVLinkDown") if fell else ("Normal", "NVLinkUp")
    if change.fact.startswith("fabric"):
        was, now = (fabric.verdict(gpu.fabric) in ("Error", "Unhealthy") for gpu in (one, other))
        yield ("Warning", "FabricUnhealthy") if now else ("Normal", "FabricHealthy" if was else "FabricChanged")


def _of_nic(change: Change) -> Iterator[Verdict]:
    if change.fact.endswith(("state", "operstate")) and (change.after in _UP) != (change.before in _UP):
        yield ("Normal", "PortUp") if change.after in _UP else ("Warning", "PortDown")


def _usable(gpu: Gpu) -> int:
    return sum(bundle.count for bundle in gpu.nvlinks if bundle.usable)


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def _gpu(subject: str, node: NodeTopology) -> Gpu | None:
    return next((gpu for gpu in node.gpus if gpu.key == subject), None)


def _kind(subject: str, before: NodeTopology, after: NodeTopology) -> str:
    """What sort of thing the subject of a change is."""
    if _GPU.fullmatch(subject):
        return "GPU"
    if subject.startswith("NVSwitch "):
        return "NVSwitch"
    for kind in ("NIC", "NVMe"):
        things = (*before.nics, *after.nics) if kind == "NIC" else (*before.nvmes, *after.nvmes)
        if any(thing.name == subject for thing in things):
            return kind
    return "Node"
