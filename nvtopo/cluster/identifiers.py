"""The numbers of domains: in physical order, kept for good. Some schedulers rank by the order of what they are shown.

A number is recorded with the members of its domain (``status.identifiers``), so it outlives restarts, needs no object
of its own, and is forgotten with the last member. It never changes because another domain appears or is missing: new
domains get numbers between those of their neighbours, or behind the last if there is no room.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from nvtopo.cluster.claims import Tier

#: Between neighbours that are numbered at once: room for what is found between them later.
STEP: Final = 16
_DIGITS: Final = 8


class Vote(NamedTuple):
    """What is recorded with one node: this domain has this number."""

    node: str
    domain: str
    number: int


class Numbered(NamedTuple):
    """A domain to number."""

    id: str
    order: tuple[object, ...]
    """Its place in physical order."""
    members: Iterable[str]


def text(tier: Tier, number: int) -> str:
    """As it is shown; sorts as the numbers do."""
    return f"{tier.lower()}-{number:0{_DIGITS}}"


def assign(domains: Sequence[Numbered], votes: Iterable[Vote]) -> Mapping[str, int]:
    """Domain ID → number, of one tier.

    A domain keeps what is recorded of it. One whose ID is new, and most of whose members were together in a domain that
    is gone, is that domain under another ID. All others get a new number.
    """
    by_node = {vote.node: vote for vote in votes}
    by_domain: dict[str, Counter[int]] = {}
    for vote in by_node.values():
        by_domain.setdefault(vote.domain, Counter())[vote.number] += 1
    present = {domain.id for domain in domains}
    numbers = {identifier: number for identifier, number in _kept(by_domain, present).items() if identifier in present}
    for domain in sorted(domains, key=lambda one: one.id):
        if domain.id not in numbers:
            number = _inherited(domain, by_node, present)
            if number is not None and number not in numbers.values():
                numbers[domain.id] = number
    used = {number for several in by_domain.values() for number in several} | {*numbers.values()}
    _number(sorted(domains, key=lambda one: (one.order, one.id)), numbers, used)
    return numbers


def _kept(by_domain: Mapping[str, Counter[int]], present: set[str]) -> dict[str, int]:
    """What most members of each domain say.

    If two domains say one number, it is that of the one that is there: it took over the number of the one that is gone.
    If both are there, it is that of the larger one.
    """
    found: dict[str, int] = {}
    taken: set[int] = set()
    said = [
        (domain not in present, -counter[number], number, domain)
        for domain, counter in by_domain.items()
        for number in counter
    ]
    for _gone, _most, number, domain in sorted(said):
        if domain not in found and number not in taken:
            found[domain] = number
            taken.add(number)
    return found


def _inherited(domain: Numbered, by_node: Mapping[str, Vote], present: set[str]) -> int | None:
    """The number of the domain that is gone and that more than half of the members were in."""
    members = list(domain.members)
    left = Counter(
        (vote.domain, vote.number)
        for name in members
        if (vote := by_node.get(name)) is not None and vote.domain not in present
    )
    if not left:
        return None
    found = min(left, key=lambda one: (-left[one], one))
    return found[1] if 2 * left[found] > len(members) else None


def _number(ordered: Sequence[Numbered], numbers: dict[str, int], used: set[int]) -> None:
    """Give those without a number one, each run of them between its neighbours."""
    known = dict(numbers)
    below = 0
    runs = [(has, list(run)) for has, run in groupby(ordered, key=lambda domain: domain.id in known)]
    for position, (has, run) in enumerate(runs):
        if has:
            below = known[run[-1].id]
            continue
        above = known[runs[position + 1][1][0].id] if position + 1 < len(runs) else None
        fresh = _between(below, above, len(run), used)
        used.update(fresh)
        numbers.update(zip((domain.id for domain in run), fresh, strict=True))


def _between(below: int, above: int | None, count: int, used: set[int]) -> list[int]:
    """So many free numbers between two; behind all that are used if there is no room, or nothing above."""
    if above is not None and above - below > count:
        spread = [below + (above - below) * number // (count + 1) for number in range(1, count + 1)]
        if used.isdisjoint(spread) and len({*spread, below}) == count + 1:
            return spread
        free = [number for number in range(below + 1, above) if number not in used]
        if len(free) >= count:
            return free[:count]
    last = max(used, default=0) // STEP * STEP
    return [last + STEP * number for number in range(1, count + 1)]
