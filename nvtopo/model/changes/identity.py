"""The keys that identify a device in another reading, and its name.

GPUs by UUID, then by place; NICs and drives by PCI address, then by name. So a GPU that the driver numbers anew is the
same GPU, and one that was replaced is another in the same place. Other records are identified by their
required fields.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from functools import cache, singledispatch
from typing import NamedTuple, TypeVar

from msgspec.structs import fields

from nvtopo.model.records.facts import NumaNode
from nvtopo.model.records.node import Gpu, GpuPair, Nic, Nvme
from nvtopo.model.records.places import StatedLevel
from nvtopo.model.records.record import Problem, Record

Keys = tuple[Hashable, ...]
"""The keys of a thing, the best first; None for a key that it lacks."""

Thing = TypeVar("Thing", bound=Record)


@cache
def required(kind: type[Record]) -> tuple[str, ...]:
    """The required fields of a record."""
    return tuple(field.name for field in fields(kind) if field.required)


def _required(thing: Record) -> tuple[Hashable, ...]:
    return tuple(getattr(thing, name) for name in required(type(thing)))


@singledispatch
def keys(thing: Record) -> Keys:
    """The keys of a thing."""
    return (_required(thing),)


@keys.register
def _(gpu: Gpu) -> Keys:
    return gpu.uuid or None, gpu.pci_address, None if gpu.uuid else gpu.key


@keys.register
def _(nic: Nic) -> Keys:
    return (nic.name, nic.pci_address), nic.pci_address, nic.name


@keys.register
def _(nvme: Nvme) -> Keys:
    return (nvme.name, nvme.pci_address), nvme.pci_address


@keys.register
def _(stated: StatedLevel) -> Keys:
    return ((stated.a, stated.b),)


@singledispatch
def name_of(thing: Record) -> str:
    """What a thing is called: the subject of its changes."""
    return " ".join(map(str, _required(thing)))


@name_of.register
def _(gpu: Gpu) -> str:
    return gpu.key


@name_of.register
def _(pair: GpuPair) -> str:
    return f"GPU{pair.a}, GPU{pair.b}"


@name_of.register(Nic)
@name_of.register(Nvme)
def _(device: Nic | Nvme) -> str:
    return device.name


@name_of.register
def _(node: NumaNode) -> str:
    return f"NUMA node {node.index}"


@name_of.register
def _(stated: StatedLevel) -> str:
    return f"{stated.a}, {stated.b}"


@name_of.register
def _(problem: Problem) -> str:
    return problem.subject


class Matched(NamedTuple):
    """Things of two readings."""

    couples: list[tuple[Record, Record]]
    """What is in both, in the order of the second."""
    gone: list[Record]
    new: list[Record]


def match(before: Sequence[Record], after: Sequence[Record]) -> Matched:
    """Each thing with what it was: the first key that both share says so; among several that share it, their order."""
    partner: dict[int, Record] = {}
    taken: set[int] = set()
    for position in range(max((len(keys(thing)) for thing in (*before, *after)), default=0)):
        left = _by_key([thing for thing in before if id(thing) not in taken], position)
        right = _by_key([thing for thing in after if id(thing) not in partner], position)
        for key in left.keys() & right.keys():
            partner[id(right[key])] = left[key]
            taken.add(id(left[key]))
    return Matched(
        couples=[(partner[id(other)], other) for other in after if id(other) in partner],
        gone=[thing for thing in before if id(thing) not in taken],
        new=[thing for thing in after if id(thing) not in partner],
    )


def _by_key(things: Sequence[Record], position: int) -> dict[Hashable, Record]:
    """By key and, among those that share it, by number."""
    seen: Counter[Hashable] = Counter()
    found: dict[Hashable, Record] = {}
    for thing in things:
        all_keys = keys(thing)
        key = all_keys[position] if position < len(all_keys) else None
        if key is not None:
            found[key, seen[key]] = thing
            seen[key] += 1
    return found
