"""What differs between two readings of a node: every field of ``NodeTopology``, and what follows from them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from nvtopo.model.changes.change import Change
from nvtopo.model.changes.compare import Difference, difference, differences, of_fact
from nvtopo.model.changes.conclusions import differing_conclusions
from nvtopo.model.changes.identity import match, name_of
from nvtopo.model.conclusions import unread
from nvtopo.model.conclusions.derive import Derived, derive
from nvtopo.model.records.node import GpuPair, NodeTopology
from nvtopo.model.records.record import Record

#: The subject of facts that are the node's own.
NODE: Final = "node"
#: Fields that are a subject of their own.
_SUBJECTS: Final = ("host",)
#: Fields that list things by name alone → what those are called.
_NAMED: Final = {"nvswitches": "NVSwitch"}
#: Field → the sources that it is read from. What hangs in one of the two readings is not gone, and not new afterwards.
_SOURCES: Final[Mapping[str, frozenset[str]]] = {
    "host": frozenset(("host", "pci")),
    "numa": frozenset(("numa",)),
    "pci": frozenset(("pci",)),
    "nvswitches": frozenset(("pci",)),
    "nics": unread.OF_DEVICES,
    "neighbors": frozenset(("lldp",)),
    "nvmes": frozenset(("storage", "pci")),
    "kubelet": frozenset(("kubelet",)),
}
#: Field → what PCI and NUMA say of GPUs; all else of them is the driver's word.
_PLACE: Final = {"gpus": ("path", "numaNode", "localCpus", "link", "acsRedirect"), "pairs": ("level",)}
_PLACES: Final = frozenset(("pci", "numa"))


def changes(
    before: NodeTopology, after: NodeTopology, derived: tuple[Derived, Derived] | None = None
) -> tuple[Change, ...]:
    """Everything that differs, at least one change where the two are not equal.

    Where only one of them has its facts from a driver, what follows from both is compared, and nothing else.
    ``derived`` is what follows from each, where that is known already.
    """
    if before == after:
        return ()
    if _only_conclusions(before, after):
        return tuple(differing_conclusions(*(derived or (derive(before), derive(after))), every=True))
    found = fact_changes(before, after)
    if _numbered_alike(before, after) and not (unread.touched(before) | unread.touched(after)) & unread.OF_DEVICES:
        found += tuple(differing_conclusions(*(derived or (derive(before), derive(after))), every=False))
    return found


def fact_changes(before: NodeTopology, after: NodeTopology) -> tuple[Change, ...]:
    """What differs in the facts alone. Nothing if only one of the two has its facts from a driver."""
    if before == after or _only_conclusions(before, after):
        return ()
    names = zip(after.__struct_fields__, after.__struct_encode_fields__, strict=True)
    hidden = unread.touched(before) | unread.touched(after)
    found = [
        change
        for name, kind in names
        if not hidden & _SOURCES.get(name, frozenset())
        for change in _of_field(kind, getattr(before, name), getattr(after, name))
        if not (hidden & _PLACES and change.path.partition(".")[0] in _PLACE.get(name, ()))
    ]
    return tuple(found)


def _only_conclusions(before: NodeTopology, after: NodeTopology) -> bool:
    """Whether only one of them has its facts from a driver, so that facts can't be compared."""
    return _has_uuids(before) != _has_uuids(after) and bool(before.gpus and after.gpus)


def _has_uuids(node: NodeTopology) -> bool:
    return any(gpu.uuid for gpu in node.gpus)


def _numbered_alike(before: NodeTopology, after: NodeTopology) -> bool:
    """Whether GPU numbers mean the same in both, so that conclusions can be compared by them."""
    numbers = {gpu.uuid or gpu.key: gpu.index for gpu in before.gpus}
    return all(numbers.get(gpu.uuid or gpu.key, gpu.index) == gpu.index for gpu in after.gpus)


def _of_field(kind: str, before: Any, after: Any) -> Iterator[Change]:
    if before == after:
        return
    if kind in _SUBJECTS:
        yield from _said(kind, kind, differences(before, after))
    elif kind in _NAMED:
        yield from _names(kind, before, after) or _order(kind, before, after)
    elif isinstance(before, tuple) and any(isinstance(item, Record) for item in (*before, *after)):
        yield from list(_things(kind, before, after)) or _order(kind, before, after)
    else:
        yield from _said(kind, NODE, of_fact(kind, before, after))


def _said(kind: str, subject: str, found: Iterator[Difference]) -> Iterator[Change]:
    for path, before, after in found:
        yield Change(kind=kind, subject=subject, path=path, before=before, after=after)


def _names(kind: str, before: tuple[str, ...], after: tuple[str, ...]) -> list[Change]:
    gone = [Change(kind=kind, subject=f"{_NAMED[kind]} {name}", before=name) for name in before if name not in after]
    new = [Change(kind=kind, subject=f"{_NAMED[kind]} {name}", after=name) for name in after if name not in before]
    return gone + new


def _things(kind: str, before: tuple[Record, ...], after: tuple[Record, ...]) -> Iterator[Change]:
    """Changes of things of one kind: those in both, then those gone, then those new."""
    couples, gone, new = match(before, after)
    for one, other in couples:
        yield from _said(kind, name_of(other), differences(one, other))
    for thing in gone:
        yield from _said(kind, name_of(thing), _whole(thing, None))
    for thing in new:
        yield from _said(kind, name_of(thing), _whole(None, thing))


def _whole(before: Record | None, after: Record | None) -> Iterator[Difference]:
    """A thing that only one side has. A pair of GPUs that nothing is said of is one of which nothing is known."""
    for thing, other in ((before, after), (after, before)):
        if isinstance(thing, GpuPair) and other is None:
            blank = GpuPair(a=thing.a, b=thing.b)
            found = list(differences(before or blank, after or blank))
            yield from found or [difference("", before, after)]
            return
    yield difference("", before, after)


def _order(kind: str, before: tuple[Any, ...], after: tuple[Any, ...]) -> Iterator[Change]:
    """The same things in another order, or one of them more often."""
    names = ([item if isinstance(item, str) else name_of(item) for item in side] for side in (before, after))
    yield Change(kind=kind, subject=NODE, path=kind, before=next(names), after=next(names))
