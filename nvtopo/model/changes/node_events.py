"""Node events for Kubernetes: changes and NVML's events, grouped by reason."""

from collections.abc import Iterator
from typing import Final

from nvtopo.model.changes import words
from nvtopo.model.changes.change import DERIVED, Change
from nvtopo.model.changes.event_reasons import OF_CHANGES, Sides, Type, Verdict, verdict
from nvtopo.model.changes.topology import changes
from nvtopo.model.conclusions.nvlink import unanswered
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.nvml_events import OF_APPLICATIONS, XIDS, NvmlEvent
from nvtopo.model.records.record import Record

#: Kinds of changes that are of what the driver alone says, or follows from that; and facts of the host that are.
_OF_THE_DRIVER: Final = ("gpus", "pairs", "accelerators", DERIVED)
_DRIVER_VERSIONS: Final = ("driverVersion", "cudaVersion")
#: What an Event's note may hold (events.k8s.io/v1).
LONGEST_NOTE_BYTES: Final = 1024
_MORE_BYTES: Final = 32
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

#: Events that were not sent.
DROPPED: Final = "EventsDropped"
#: Every reason of an Event of ours: daemonset/admission.yaml lets an agent give no other.
REASONS: Final = OF_CHANGES | {reason for reason, _ in _NVML.values()} | {DROPPED}


class NodeEvent(Record, frozen=True, kw_only=True):
    """What one Kubernetes Event says."""

    type: Type
    reason: str
    """CamelCase, for programs."""
    note: str
    """For people, and at most 1024 bytes: the same words again are the same series."""


def of_changes(
    before: NodeTopology,
    after: NodeTopology,
    found: tuple[Change, ...],
    answered: NodeTopology | None = None,
) -> tuple[NodeEvent, ...]:
    """One for each reason, in the order of their first change; ``found`` are the changes between the two.

    GPUs of a driver that does not answer are not gone: they are not known. So what the driver says is compared with
    ``answered``, the last node where it did, once it does again.
    """
    if unanswered(before) or unanswered(after):
        found = tuple(change for change in found if not _is_the_drivers(change))
        if answered is not None and not unanswered(after):
            found += tuple(change for change in changes(answered, after) if _is_the_drivers(change))
    sides = Sides(before, after)
    gathered: dict[Verdict, list[Change]] = {}
    for change in found:
        gathered.setdefault(verdict(change, sides), []).append(change)
    return tuple(
        NodeEvent(type=type_, reason=reason, note=note_of(list(_texts(found))))
        for (type_, reason), found in gathered.items()
    )


def of_nvml(event: NvmlEvent) -> NodeEvent:
    """An XID with its number and, where NVIDIA's catalogue has it, its meaning; another event in words."""
    whose = f"GPU{event.gpu} ({event.uuid}): " if event.gpu is not None else ""
    if event.xid is None:
        return NodeEvent(type="Warning", reason=_NVML[event.kind][0], note=whose + _NVML[event.kind][1])
    meaning = f": {XIDS[event.xid]}" if event.xid in XIDS else ""
    return NodeEvent(
        type="Normal" if event.xid in OF_APPLICATIONS else "Warning",
        reason="XidError",
        note=f"{whose}XID {event.xid}{meaning}",
    )


def _texts(found: list[Change]) -> Iterator[str]:
    """Changes in words; of problems, those with one reason together."""
    sharing: dict[str, list[str]] = {}
    for change in found:
        if change.kind == "problems" and not change.path:
            reason = change.after["reason"] if change.new else f"no longer so: {change.before['reason']}"
            sharing.setdefault(reason, []).append(change.subject)
        else:
            yield words.text(change)
    yield from (f"{', '.join(subjects)}: {reason}" for reason, subjects in sharing.items())


def _is_the_drivers(change: Change) -> bool:
    return change.kind in _OF_THE_DRIVER or (change.kind == "host" and change.path in _DRIVER_VERSIONS)


def note_of(texts: list[str]) -> str:
    """The note of an Event: the texts that fit, and the number of those that do not."""
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
