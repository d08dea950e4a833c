"""Type and reason of the Kubernetes Event that a change belongs to.

A change is a warning where what it is about is ill after it, by the one health: a link that goes down while links
train, and a port that nobody uses, are none.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final, Literal

from nvtopo.model.changes.change import Change
from nvtopo.model.conclusions import health, names, presence
from nvtopo.model.conclusions.distance import Distances
from nvtopo.model.conclusions.health import Health, NodeHealth
from nvtopo.model.conclusions.health_kinds import ILL, KINDS, Reason
from nvtopo.model.conclusions.rails import roles
from nvtopo.model.formats.cpulist import parse_cpulist
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.nvlinks import USABLE_STATES

Type = Literal["Normal", "Warning"]
Verdict = tuple[Type, str]
"""Type and reason."""

_UP: Final = ("ACTIVE", "ACTIVE_DEFER", "up")
_NOT_KNOWN: Final = ("", "unknown", None)
_NARROW: Final = ("pcie-below-best", "pcie-below-expected")
#: Reasons of two GPUs, which the facts of their pair give.
_OF_PAIRS: Final = ("nvlinks-missing", "nvlinks-down", "nvlink-p2p-refused")
#: Things that come and go → how a reason begins that is about them.
_THINGS: Final = {"gpus": "GPU", "nics": "NIC", "nvmes": "NVMe", "nvswitches": "NVSwitch"}
#: Facts whose name says enough, whichever way they changed.
_REASONS: Final = {
    "driverVersion": "DriverChanged",
    "nvlinkGroups": "NVLinkGroupsChanged",
    "nearestNics": "NearestNICsChanged",
    "mig": "MIGChanged",
}

_SPECIAL: Final = (
    *(
        "ReadableAgain",
        "Unreadable",
        "NVLinkDomainChanged",
        "NVLinksTraining",
        "NVLinksTrained",
        "NVLinkDown",
        "NVLinkUp",
    ),
    *("PCIeLinkNarrowed", "PCIeLinkWidened", "RecoveryNeeded", "Recovered", "MemoryRepair", "MemoryRepaired"),
    *("FabricUnhealthy", "FabricHealthy", "FabricChanged", "FabricInProgress", "PortUp", "PortDown"),
)
#: Every reason that a change may have.
OF_CHANGES: Final = frozenset(
    {f"{thing}{what}" for thing in (*_THINGS.values(), "Node") for what in ("Added", "Changed", "Gone")}
    | {*_REASONS.values(), *_SPECIAL}
)


class Sides:
    """Two readings, each judged at most once."""

    def __init__(self, before: NodeTopology, after: NodeTopology) -> None:
        self.before, self.after = before, after

    @cached_property
    def was(self) -> NodeHealth:
        """The health of the first."""
        return _judged(self.before)

    @cached_property
    def now(self) -> NodeHealth:
        """The health of the second."""
        return _judged(self.after)


def verdict(change: Change, sides: Sides) -> Verdict:
    """Type and reason of a change between two readings."""
    thing = _THINGS.get(change.kind, "Node")
    if change.kind == "problems":
        return ("Normal", "ReadableAgain") if change.gone else ("Warning", "Unreadable")
    if change.kind == "accelerators" and (change.new or change.gone):
        return ("Warning" if change.new and _is_silent(change.subject, sides.after) else "Normal", "NodeChanged")
    if change.new or change.gone:
        return ("Normal", f"{thing}Added") if change.new else ("Warning", f"{thing}Gone")
    if change.path == "nvlinkDomain":
        return ("Warning" if change.after is None else "Normal", "NVLinkDomainChanged")
    if change.path in _REASONS:
        return ("Normal", _REASONS[change.path])
    special = {"gpus": _of_gpu(change, sides), "nics": _of_nic(change, sides)}.get(change.kind, iter(()))
    return next(special, ("Warning" if _makes_ill(change, sides) else "Normal", f"{thing}Changed"))


def _of_gpu(change: Change, sides: Sides) -> Iterator[Verdict]:
    if change.path == "nvlinkTraining":
        yield ("Normal", "NVLinksTraining" if change.after else "NVLinksTrained")
    if change.path == "fabricOverdue":
        yield ("Warning", "FabricInProgress") if change.after else ("Normal", "FabricChanged")
    yield from _of_width(change, _health(change.subject, sides.now))
    if change.path == "recoveryAction":
        yield ("Warning", "RecoveryNeeded") if change.after else ("Normal", "Recovered")
    if change.path == "memoryRepair":
        yield ("Warning", "MemoryRepair") if change.after else ("Normal", "MemoryRepaired")
    if change.path == "nvlinks.state":
        yield from _of_links(change.before, change.after, _health(change.subject, sides.now))
    if change.within("fabric"):
        yield from _of_fabric(_health(change.subject, sides.was), _health(change.subject, sides.now))


def _of_width(change: Change, now: Health | None) -> Iterator[Verdict]:
    """Lanes of the PCIe link of a GPU or a NIC, where both numbers are known."""
    if change.path == "link.width" and change.before is not None and change.after is not None:
        narrower = change.after < change.before
        ill = narrower and _is_narrow(now)
        yield ("Warning" if ill else "Normal", "PCIeLinkNarrowed" if narrower else "PCIeLinkWidened")


def _of_links(before: dict[str, Any], after: dict[str, Any], now: Health | None) -> Iterator[Verdict]:
    """Links whose state is not known neither fell nor rose."""
    if _in(before, *USABLE_STATES) - _in(after, *USABLE_STATES, None):
        yield ("Warning" if now is None or health.gpu_nvlink_degraded(now) else "Normal", "NVLinkDown")
    elif _in(after, *USABLE_STATES) - _in(before, *USABLE_STATES, None):
        yield ("Normal", "NVLinkUp")


def _in(states: dict[str, Any], *these: str | None) -> set[int]:
    """The links in one of these states."""
    return {link for links, state in states.items() if state in these for link in parse_cpulist(links)}


def _of_fabric(before: Health | None, after: Health | None) -> Iterator[Verdict]:
    if before is None or after is None:
        return
    was, now = health.of_fabric(before), health.of_fabric(after)
    yield ("Warning", "FabricUnhealthy") if now else ("Normal", "FabricHealthy" if was else "FabricChanged")


def _of_nic(change: Change, sides: Sides) -> Iterator[Verdict]:
    """A state that is not known is neither up nor down. Where no NIC is judged, a port that goes down is a warning."""
    of_port = change.within("ports") and change.path.endswith(".state")
    known = change.before not in _NOT_KNOWN and change.after not in _NOT_KNOWN
    if (of_port or change.path == "operstate") and known and (change.after in _UP) != (change.before in _UP):
        nic = sides.now.nics.get(change.subject)
        ill = nic is None or nic.level in ILL
        yield ("Normal", "PortUp") if change.after in _UP else ("Warning" if ill else "Normal", "PortDown")
    yield from _of_width(change, sides.now.nics.get(change.subject, Health()))


def _makes_ill(change: Change, sides: Sides) -> bool:
    """Whether a GPU or NIC that the change is about has a reason to be ill that it did not have before."""
    was, now = sides.was.reasons, sides.now.reasons
    found = (one for one in now if KINDS[one.code].level in ILL and one not in was)
    return any(_is_about(change, one) for one in found)


def _is_about(change: Change, reason: Reason) -> bool:
    if change.kind == "nics":
        return reason.nic == change.subject
    about = reason.gpu is not None and names.gpu(reason.gpu) in change.subject.split(", ")
    return about and (change.kind == "gpus" or (change.kind == "pairs" and reason.code in _OF_PAIRS))


def _judged(node: NodeTopology) -> NodeHealth:
    return health.of(node, roles(node, Distances(node)))


def _health(subject: str, judged: NodeHealth) -> Health | None:
    return next((one for index, one in judged.gpus.items() if names.gpu(index) == subject), None)


def _is_narrow(judged: Health | None) -> bool:
    """Whether it has fewer lanes than both ends allow, or than is expected of it."""
    return judged is None or any(reason.code in _NARROW for reason in judged.reasons)


def _is_silent(subject: str, node: NodeTopology) -> bool:
    return any(device.name == subject for device in presence.of_state(node, "silent"))
