"""What differs between two readings of a node, in words: one line a change, its subject first.

Things are recognised by what stays: GPUs by UUID, then by place; NICs and drives by PCI address, then by name. So a
GPU that the driver numbers anew is the same GPU, and one that was replaced is another in the same place.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Final, TypeVar

from nvtopo.model.changed_facts import Difference, differences
from nvtopo.model.derive import Derived, derive
from nvtopo.model.node import Gpu, GpuPair, Nic, NodeTopology, Nvme
from nvtopo.model.record import Problem, Record

Thing = TypeVar("Thing", bound=Record)
Key = Callable[[Thing], Hashable]

#: Fields of a node that are compared thing by thing; all others are compared as they are.
_THINGS: Final = frozenset(
    ("gpus", "numa", "pci", "pairs", "nics", "nvmes", "stated", "problems", "nvswitches", "host")
)

_NO_KEY: Final = (None, "")


class Change(Record, frozen=True, kw_only=True):
    """One change."""

    subject: str
    """What changed: ``GPU3``, ``mlx5_2``, ``NUMA node 0``, ``host``."""
    fact: str = ""
    """What of it; empty where it came or went as a whole."""
    before: str | None = None
    """Absent where it is new."""
    after: str | None = None
    """Absent where it is gone."""

    @property
    def text(self) -> str:
        """``GPU3: NVLinks 0-17 active → 0-16 active, 17 inactive``."""
        if self.before is None or self.after is None:
            what = self.after or self.before or ""
            return f"{self.subject} {'new' if self.before is None else 'gone'}" + (f": {what}" if what else "")
        return f"{self.subject}: {self.fact} {self.before} → {self.after}"


def changes(before: NodeTopology, after: NodeTopology) -> tuple[Change, ...]:
    """Everything that differs. Where only one side has its facts from a driver, what follows from both is compared."""
    if _has_uuids(before) != _has_uuids(after) and before.gpus and after.gpus:
        return tuple(_conclusions(derive(before), derive(after), every=True))
    found = [
        *_of("host", differences(before.host, after.host)),
        *_of("node", differences(before, after, without=_THINGS)),
        *_things(before.numa, after.numa, (lambda numa: numa.index,), lambda numa: f"NUMA node {numa.index}"),
        *_things(before.pci, after.pci, (lambda root: (root.root,),), lambda root: root.root),
        *_gpus(before, after),
        *_pairs(before, after),
        *_nics(before.nics, after.nics),
        *_nvmes(before.nvmes, after.nvmes),
        *_names("NVSwitch", before.nvswitches, after.nvswitches),
        *_things(before.stated, after.stated, (lambda said: (said.a, said.b),), lambda said: f"{said.a}, {said.b}"),
        *_problems(before.problems, after.problems),
    ]
    if _numbered_alike(before, after):
        found += _conclusions(derive(before), derive(after), every=False)
    return tuple(found)


def _has_uuids(node: NodeTopology) -> bool:
    return any(gpu.uuid for gpu in node.gpus)


def _numbered_alike(before: NodeTopology, after: NodeTopology) -> bool:
    """Whether GPU numbers mean the same in both, so that conclusions can be compared by them."""
    numbers = {gpu.uuid or gpu.key: gpu.index for gpu in before.gpus}
    return all(numbers.get(gpu.uuid or gpu.key, gpu.index) == gpu.index for gpu in after.gpus)


def _of(subject: str, found: Iterator[Difference]) -> Iterator[Change]:
    for fact, before, after in found:
        yield Change(subject=subject, fact=fact, before=before, after=after)


def _things(
    before: Sequence[Thing], after: Sequence[Thing], keys: Sequence[Key[Thing]], name: Callable[[Thing], str]
) -> Iterator[Change]:
    """Changes of things of one kind: those in both, then those gone, then those new."""
    couples = _couples(before, after, keys)
    for one, other in couples:
        yield from _of(name(other), differences(one, other))
    known = [{id(couple[side]) for couple in couples} for side in (0, 1)]
    for thing in before:
        if id(thing) not in known[0]:
            yield Change(subject=name(thing), before="")
    for thing in after:
        if id(thing) not in known[1]:
            yield Change(subject=name(thing), after="")


def _couples(before: Sequence[Thing], after: Sequence[Thing], keys: Sequence[Key[Thing]]) -> list[tuple[Thing, Thing]]:
    """Each thing with what it was; the first key that both share says so. Where several share it, their order does."""
    partner: dict[int, Thing] = {}
    taken: set[int] = set()
    for key in keys:
        left = _keyed([thing for thing in before if id(thing) not in taken], key)
        right = _keyed([thing for thing in after if id(thing) not in partner], key)
        for value, other in right.items():
            if value in left:
                partner[id(other)] = left[value]
                taken.add(id(left[value]))
    return [(partner[id(other)], other) for other in after if id(other) in partner]


def _keyed(things: list[Thing], key: Key[Thing]) -> dict[Hashable, Thing]:
    """By key and, among those that share it, by number."""
    seen: Counter[Hashable] = Counter()
    found: dict[Hashable, Thing] = {}
    for thing in things:
        value = key(thing)
        if value not in _NO_KEY:
            found[value, seen[value]] = thing
            seen[value] += 1
    return found


def _gpus(before: NodeTopology, after: NodeTopology) -> Iterator[Change]:
    keys: list[Key[Gpu]] = [lambda gpu: gpu.uuid, lambda gpu: gpu.pci_address]
    if not _has_uuids(before) and not _has_uuids(after):
        keys.append(lambda gpu: gpu.key)
    couples = {id(other): one for one, other in _couples(before.gpus, after.gpus, keys)}
    for gpu in after.gpus:
        if id(gpu) in couples:
            yield from _of(gpu.key, differences(couples[id(gpu)], gpu))
        else:
            yield Change(subject=gpu.key, after=_identity(gpu))
    kept = {id(gpu) for gpu in couples.values()}
    yield from (Change(subject=gpu.key, before=_identity(gpu)) for gpu in before.gpus if id(gpu) not in kept)


def _identity(gpu: Gpu) -> str:
    return " at ".join(part for part in (gpu.uuid, gpu.pci_address) if part)


def _pairs(before: NodeTopology, after: NodeTopology) -> Iterator[Change]:
    """What was said of pairs of GPUs; of a pair that nothing is said of, nothing is known."""
    sides = [{(pair.a, pair.b): pair for pair in node.pairs} for node in (before, after)]
    for a, b in sorted({*sides[0], *sides[1]}):
        one, other = (side.get((a, b), GpuPair(a=a, b=b)) for side in sides)
        yield from _of(f"GPU{a}, GPU{b}", differences(one, other))
        if one == other and ((a, b) in sides[0]) != ((a, b) in sides[1]):
            yield Change(subject=f"GPU{a}, GPU{b}", before="", after=None)


def _nics(before: tuple[Nic, ...], after: tuple[Nic, ...]) -> Iterator[Change]:
    keys: tuple[Key[Nic], ...] = (
        lambda nic: (nic.name, nic.pci_address),
        lambda nic: nic.pci_address,
        lambda nic: (nic.name,),
    )
    yield from _things(before, after, keys, lambda nic: nic.name)


def _nvmes(before: tuple[Nvme, ...], after: tuple[Nvme, ...]) -> Iterator[Change]:
    keys: tuple[Key[Nvme], ...] = (lambda nvme: (nvme.name, nvme.pci_address), lambda nvme: nvme.pci_address)
    yield from _things(before, after, keys, lambda nvme: nvme.name)


def _names(kind: str, before: Sequence[str], after: Sequence[str]) -> Iterator[Change]:
    yield from (Change(subject=f"{kind} {name}", before="") for name in before if name not in after)
    yield from (Change(subject=f"{kind} {name}", after="") for name in after if name not in before)


def _problems(before: tuple[Problem, ...], after: tuple[Problem, ...]) -> Iterator[Change]:
    for problem in before:
        if problem not in after:
            yield Change(subject=f"problem with {problem.subject}", before=problem.reason)
    for problem in after:
        if problem not in before:
            yield Change(subject=f"problem with {problem.subject}", after=problem.reason)


def _conclusions(before: Derived, after: Derived, *, every: bool) -> Iterator[Change]:
    """What follows: groups, domain, nearest NICs; where it is all that there is, affinity and each pair's link too."""
    yield from _value("node", "NVLink groups", _groups(before), _groups(after))
    yield from _value("node", "NVLink domain", before.nvlink_domain or "none", after.nvlink_domain or "none")
    for key in sorted(before.nearest_nics.keys() & after.nearest_nics.keys()):
        yield from _value(key, "nearest NICs", _nearest(before, key), _nearest(after, key))
    if not every:
        return
    yield from _names("GPU", sorted(before.numa), sorted(after.numa))
    for key in sorted(before.numa.keys() & after.numa.keys()):
        yield from _value(key, "NUMA node", _known(before.numa[key]), _known(after.numa[key]))
        yield from _value(key, "CPU affinity", _known(before.cpu_affinity[key]), _known(after.cpu_affinity[key]))
    links = [{(pair.a, pair.b): _known(pair.link) for pair in side.gpu_pairs} for side in (before, after)]
    for a, b in sorted(links[0].keys() & links[1].keys()):
        yield from _value(f"{a}, {b}", "link", links[0][a, b], links[1][a, b])


def _value(subject: str, fact: str, before: str, after: str) -> Iterator[Change]:
    if before != after:
        yield Change(subject=subject, fact=fact, before=before, after=after)


def _known(value: object) -> str:
    return "not known" if value in (None, "") else str(value)


def _groups(derived: Derived) -> str:
    if derived.nvlink_groups is None or derived.nvlink_full_mesh is None:
        return "not known"
    groups = zip(derived.nvlink_groups, derived.nvlink_full_mesh, strict=True)
    shown = (f"{{{','.join(map(str, group))}}}{'' if full else ' partly connected'}" for group, full in groups)
    return ", ".join(shown) or "none"


def _nearest(derived: Derived, key: str) -> str:
    nearest = derived.nearest_nics[key]
    return f"{' '.join(nearest.nics)} ({nearest.level})" if nearest.level else "not known"
