"""A gang over domains of two tiers at once: a choice that is nearly always the cheapest, and a bound that proves it.

Each domain used costs something, and so does each wider domain that holds one of them. With a price of ``t`` pods for
each domain, a wider domain is worth the sum of what its domains hold above ``t``; no choice of ``b`` wider and ``a``
closer domains holds more than the ``b`` worthiest are worth together, and ``a * t``. So every ``t`` gives a least ``a``
for each ``b``: Lagrange's relaxation. The worthiest wider domains at the price that bounds the most are the choice.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from heapq import nlargest
from itertools import accumulate, chain
from typing import Final, NamedTuple

#: Prices that are tried: any number of them gives a bound that holds.
_MOST_PRICES: Final = 24
#: Choices that are worked out, the most promising first.
_MOST_TRIES: Final = 4

Rooms = Mapping[int, Sequence[int]]
"""Wider domain → its domains, the roomiest first."""


class Spread(NamedTuple):
    """Which domains hold the gang."""

    bound: int
    """No choice costs less."""
    cost: int
    near: list[int]


class _Try(NamedTuple):
    bound: int
    wide: int
    """How many wider domains."""
    order: tuple[int, ...]
    """Wider domains, the worthiest first."""


def spread(inside: Rooms, rooms: Sequence[int], pods: int, near_weight: int, wide_weight: int) -> Spread:
    """The gang over the domains of ``inside``, which hold it together. ``rooms`` has the room of each domain."""
    tries = sorted(_tries(inside, rooms, pods, near_weight, wide_weight))
    best: Spread | None = None
    for tried in tries[:_MOST_TRIES]:
        if best is not None and best.cost <= tried.bound:
            break
        near = _fewest(inside, rooms, pods, tried)
        wide = sum(1 for domains in inside.values() if any(domain in near for domain in domains))
        price = near_weight * len(near) + wide_weight * wide
        if best is None or price < best.cost:
            best = Spread(tries[0].bound, price, list(near))
    assert best is not None
    return best._replace(bound=min(best.bound, best.cost))


def _tries(inside: Rooms, rooms: Sequence[int], pods: int, near_weight: int, wide_weight: int) -> Iterator[_Try]:
    """For each number of wider domains, what it costs at least."""
    held = {wide: sum(rooms[domain] for domain in domains) for wide, domains in inside.items()}
    first = next(
        number for number, total in enumerate(accumulate(sorted(held.values(), reverse=True)), 1) if total >= pods
    )
    prices = list(_worths(inside, rooms))
    fewest = max(_least(worth, price, pods, len(inside)) for price, _order, worth in prices)
    for wide in range(first, len(inside) + 1):
        near, order = max((_least(worth, price, pods, wide), order) for price, order, worth in prices)
        yield _Try(near_weight * max(near, wide) + wide_weight * wide, wide, order)
        if near <= fewest:
            return


def _least(worth: Sequence[int], price: int, pods: int, wide: int) -> int:
    """The fewest domains out of so many wider ones, as far as one price tells."""
    return -(-(pods - worth[wide - 1]) // price)


def _worths(inside: Rooms, rooms: Sequence[int]) -> Iterator[tuple[int, tuple[int, ...], list[int]]]:
    """Price, wider domains by what they are worth at it, and what the first of them are worth together."""
    sizes = {wide: sorted(rooms[domain] for domain in domains) for wide, domains in inside.items()}
    above = {wide: list(accumulate(reversed(some), initial=0)) for wide, some in sizes.items()}
    values = sorted({*chain.from_iterable(sizes.values())} - {0})
    step = -(-len(values) // _MOST_PRICES)
    for price in values[::step]:
        worth: list[tuple[int, int]] = []
        for wide, some in sizes.items():
            count = len(some) - bisect_right(some, price)
            worth.append((count * price - above[wide][count], wide))
        worth.sort()
        yield price, tuple([wide for _worth, wide in worth]), list(accumulate([-negative for negative, _wide in worth]))


def _fewest(inside: Rooms, rooms: Sequence[int], pods: int, tried: _Try) -> dict[int, None]:
    """The fewest domains out of the worthiest wider ones; out of more of them, if these do not hold the gang."""
    for wide in range(tried.wide, len(tried.order) + 1):
        chosen: dict[int, None] = {}
        left = pods
        within = list(chain.from_iterable(inside[outer] for outer in tried.order[:wide]))
        for domain in nlargest(len(within), within, key=rooms.__getitem__):
            if left <= 0 or not rooms[domain]:
                break
            chosen[domain] = None
            left -= rooms[domain]
        if left <= 0:
            return chosen
    raise AssertionError(pods)
