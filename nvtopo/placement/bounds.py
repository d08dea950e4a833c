"""``Bounds``: what no placement inside a domain costs less than, where using a node costs something of its own.

Hosts are taken for their charge and their room alone: the cheapest way to buy room for all pods, if a part of a host
could be bought, is a linear program, and its dual is one price for each pod. So a placement costs at least what its
pods cost at that price, less what hosts that are cheaper save; and a part of a placement that is dearer than that by
more than what the best one known leaves open can't be a part of a better one.
"""

from collections.abc import Iterable, Sequence
from math import prod
from typing import NamedTuple

Offer = tuple[int, int]
"""What a host charges, and its room."""


class Price(NamedTuple):
    """Of one pod: a fraction, so that sums are exact."""

    amount: int
    per: int

    def saved(self, charge: int, room: int) -> int:
        """How far a host is below the price, as a number that is not above 0, in parts of ``per``."""
        return min(0, charge * self.per - self.amount * room)


def price(offers: Iterable[Offer], pods: int) -> Price:
    """What a pod costs on the dearest of the hosts that are needed, if the cheapest are taken first."""
    for charge, room in sorted((offer for offer in offers if offer[1]), key=lambda offer: offer[0] / offer[1]):
        pods -= room
        if pods <= 0:
            return Price(charge, room)
    return Price(0, 1)


def least(offers: Sequence[Offer], pods: int) -> int:
    """What room for so many pods costs at least: by any price of a pod, so also by one that a float misplaced."""
    if not any(charge for charge, _room in offers):
        return 0
    of_pod = price(offers, pods)
    saved = sum(of_pod.saved(charge, room) for charge, room in offers)
    return -(-(of_pod.amount * pods + saved) // of_pod.per)


def fewest(rooms: Iterable[int], pods: int) -> int:
    """How many domains hold so many pods, at least."""
    count = 0
    for room in sorted(rooms, reverse=True):
        if pods <= 0:
            break
        pods -= room
        count += 1
    return count


class Cut(NamedTuple):
    """Which parts of a placement inside a domain may belong to one that costs no more than ``most``.

    Each level has a price of its own, since hosts and the domains around them charge one by one; sums are in parts of
    ``per``.
    """

    amounts: tuple[int, ...]
    """What a pod costs by the price of each level below the domain, the hosts first."""
    per: int
    most: int
    """What all hosts and domains that are used may cost."""
    pods: int
    saved: int
    """What all hosts and domains save."""

    def saves(self, level: int, charge: int, room: int) -> int:
        """How far one of them is below the price, as a number that is not above 0."""
        return min(0, charge * self.per - self.amounts[level] * room)

    def keeps(self, cost: int, pods: int, saved: int) -> bool:
        """A part for so many pods, of what saves so much: the others cost their price less what they save."""
        others = sum(self.amounts) * (self.pods - pods) + self.saved - saved
        return cost * self.per + others <= self.most * self.per


def cut(levels: Sequence[Sequence[Offer]], pods: int, most: int) -> Cut:
    """For what a gang may use inside a domain, level by level."""
    prices = [price(offers, pods) for offers in levels]
    per = prod(one.per for one in prices)
    found = Cut(tuple(one.amount * (per // one.per) for one in prices), per, most, pods, 0)
    saved = sum(found.saves(level, *offer) for level, offers in enumerate(levels) for offer in offers)
    return found._replace(saved=saved)
