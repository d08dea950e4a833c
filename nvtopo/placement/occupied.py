"""``Occupied``: which GPUs of each node are taken, by reservations and by pods that no reservation is for.

Of a pod that runs without a reservation it is often known only how many GPUs it has, not which. Then the worst is
assumed: that they are spread over the NVLink groups of its node.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

from nvtopo.placement.fleet import Host
from nvtopo.placement.ledger import Ledger, Reservation, ReservationChange

Held = Mapping[str, Collection[int]]
"""Node → indices of GPUs."""
Counted = Mapping[str, Mapping[str, int]]
"""Node → the reservation that pods on it say they are for, or "" → how many GPUs they ask for."""

_NOTHING: Mapping[str, int] = MappingProxyType({})


class Occupied:
    """Kept up with a ledger and with what else is in use; each change tells which nodes it was on."""

    def __init__(self) -> None:
        self._log: list[ReservationChange] = []
        self._seen = 0
        self._reservations: dict[str, Reservation] = {}
        self._reserved: dict[str, dict[int, str]] = {}
        self._used: Held = MappingProxyType({})
        self._claimed: Held = MappingProxyType({})
        self._counted: Counted = MappingProxyType({})

    def follow(self, ledger: Ledger) -> set[str]:
        """What the ledger holds now; the nodes where that differs from before."""
        touched: set[str] = set()
        if ledger.log is self._log:
            for one, came in ledger.log[self._seen :]:
                self._set(one.id, one if came else None, touched)
        else:
            there = ledger.reservations
            for key in [key for key, one in self._reservations.items() if key not in there]:
                self._set(key, None, touched)
            for key, one in there.items():
                if key not in self._reservations or self._reservations[key].answer != one.answer:
                    self._set(key, one, touched)
        self._log, self._seen = ledger.log, len(ledger.log)
        return touched

    def observe(self, used: Held, counted: Counted, claimed: Held = MappingProxyType({})) -> set[str]:
        """What else is in use now; the nodes where that differs from before.

        ``claimed`` are held by ResourceClaims: pods that have them so are not counted.
        """
        touched = differing(self._used, used) | differing(self._counted, counted)
        touched |= differing(self._claimed, claimed)
        self._used, self._counted, self._claimed = used, counted, claimed
        return touched

    def on(self, node: str) -> frozenset[int]:
        """The GPUs of a node of which it is known that they are taken."""
        return frozenset((*self._reserved.get(node, ()), *self._used.get(node, ()), *self._claimed.get(node, ())))

    def left(self, host: Host, given_up: Collection[int] = frozenset()) -> Host:
        """The host with what is free of it, which had all free that are well.

        A reservation gives up some of its GPUs: these count as free, if nothing else has them.
        """
        taken, unknown = self.on(host.name), self._unknown(host.name)
        if given_up:
            taken -= {gpu for gpu in given_up if gpu not in self._by_others(host.name)}
        if not taken and not unknown:
            return host
        left = host.without(taken)
        return left.without({*_spread(left, unknown)}) if unknown else left

    def reserved_for(self, host: Host, key: str) -> Host:
        """The host with only what a reservation has of it free."""
        own = {gpu for gpu, holder in self._reserved.get(host.name, {}).items() if holder == key}
        return host.without({gpu for group in host.free for gpu in group} - own)

    def _by_others(self, node: str) -> frozenset[int]:
        return frozenset((*self._used.get(node, ()), *self._claimed.get(node, ())))

    def _unknown(self, node: str) -> int:
        """GPUs of pods beyond their reservations' share of the node; not those of which it is known which they are."""
        said, reserved = self._counted.get(node, _NOTHING), self._reserved.get(node, {})
        shares = Counter(reserved.values())
        claimed = self._claimed.get(node, ())
        known = sum(gpu not in reserved and gpu not in claimed for gpu in self._used.get(node, ()))
        return max(0, sum(max(0, gpus - shares[key]) for key, gpus in said.items()) - known)

    def _set(self, key: str, now: Reservation | None, touched: set[str]) -> None:
        before = self._reservations.pop(key, None)
        for rank in before.answer.ranks if before else ():
            held = self._reserved.get(rank.node, {})
            for gpu in rank.gpus:
                held.pop(gpu, None)
            if not held:
                self._reserved.pop(rank.node, None)
            touched.add(rank.node)
        for rank in now.answer.ranks if now else ():
            self._reserved.setdefault(rank.node, {}).update(dict.fromkeys(rank.gpus, key))
            touched.add(rank.node)
        if now is not None:
            self._reservations[key] = now


def differing(before: Mapping[str, object], now: Mapping[str, object]) -> set[str]:
    """The keys whose values differ. Most are the same objects, and those are not compared."""
    if before is now:
        return set()
    found = {name for name, one in now.items() if (other := before.get(name)) is not one and other != one}
    return found.union(before.keys() - now.keys())


def _spread(host: Host, gpus: int) -> Iterator[int]:
    """So many of the free GPUs, such that as many NVLink groups as possible lose one."""
    groups = [list(group) for group in host.free]
    while gpus and any(groups):
        for group in sorted(groups, key=len, reverse=True):
            if group and gpus:
                yield group.pop()
                gpus -= 1
