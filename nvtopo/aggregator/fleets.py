"""``Fleets``: the fleet of the latest graph with what is taken of it now, for each way of asking. For a ``Desk``."""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

from nvtopo.cluster.graph import ClusterGraph
from nvtopo.exporters import extender
from nvtopo.placement import hosts
from nvtopo.placement.devices import NOTHING_CLAIMED, Claimed
from nvtopo.placement.document import Parsed
from nvtopo.placement.fleet import Host
from nvtopo.placement.ledger import Gpu, Ledger
from nvtopo.placement.links import Link
from nvtopo.placement.occupied import Counted, Occupied, differing
from nvtopo.placement.result import Rank
from nvtopo.placement.state import State


class Use(NamedTuple):
    """GPUs that pods hold, with or without a reservation."""

    held: Mapping[str, Collection[int]] = MappingProxyType({})
    """Node → indices of GPUs."""
    told: frozenset[str] | None = None
    """The nodes of which that is known; None if nobody asks."""


NOBODY_ASKS: Final = Use()
#: Link figures and health that requests name: states that are kept beside each other.
_MOST_STATES: Final = 4


class AskedFor(NamedTuple):
    """What is known of the pods that are to be placed."""

    by_claim: bool = False
    """They get only GPUs that a DRA driver gives to claims."""
    closed: Mapping[str, str] = MappingProxyType({})
    """Node → why none of them can go there."""


ANY_PODS: Final = AskedFor()


@dataclass(slots=True)
class Kept:
    """A fleet of the latest graph, and its state with what is taken now."""

    bases: Mapping[str, Host]
    """The hosts with all of their GPUs that are well free."""
    state: State
    occupied: Occupied
    closed: Mapping[str, str] = field(default_factory=dict)
    """Node → why it takes no pods, as asked for last."""

    def left(self, name: str, given_up: Collection[int] = frozenset()) -> Host:
        """A host as it is for who asked last."""
        left, why = self.occupied.left(self.bases[name], given_up), self.closed.get(name)
        return left if why is None or left.excluded is not None else left._replace(free=(), excluded=why)

    def close(self, closed: Mapping[str, str]) -> None:
        """These nodes take no pods, and no others."""
        before, self.closed = self.closed, closed
        self.update(differing(before, closed))

    def update(self, nodes: Iterable[str]) -> None:
        """The nodes where something is otherwise now."""
        for name in nodes:
            if name in self.bases:
                self.state.put(self.left(name))

    def giving_up(self, gpus: Mapping[str, Collection[int]]) -> Iterator[Host]:
        """The hosts in physical order for a reservation that gives these GPUs up: node → indices."""
        for host in self.state.hosts:
            yield self.left(host.name, gpus[host.name]) if host.name in gpus else host


class Fleets:
    """Used by several threads at once."""

    def __init__(
        self,
        used: Callable[[], Use],
        counted: Callable[[], Counted],
        claimed: Callable[[], Claimed],
    ) -> None:
        self._used, self._counted, self._claimed = used, counted, claimed
        self._lock = threading.Lock()
        self._occupied = Occupied()
        self._use = NOBODY_ASKS
        self._claims = NOTHING_CLAIMED
        self._of: tuple[ClusterGraph, frozenset[str] | None, Mapping[str, frozenset[int]] | None] | None = None
        self._kept: dict[tuple[tuple[tuple[str, Link], ...], bool, bool], Kept] = {}
        self._changes = 0
        self._view: tuple[ClusterGraph, frozenset[str] | None, int, extender.View] | None = None

    @contextmanager
    def now(self, graph: ClusterGraph, ledger: Ledger, parsed: Parsed, pods: AskedFor) -> Iterator[Kept]:
        """The fleet for a request as it is now; nobody else changes it meanwhile."""
        with self._lock:
            self._update(self._occupied.follow(ledger))
            self._observe()
            kept = self._at(graph, parsed.links, degraded=parsed.allow_degraded, by_claim=pods.by_claim)
            kept.close(pods.closed)
            yield kept

    def in_use(self, ranks: Iterable[Rank]) -> frozenset[Gpu]:
        """The GPUs that pods or claims have on the nodes of these ranks."""
        held, claimed = self._use.held, self._claims.held
        nodes = {rank.node for rank in ranks}
        return frozenset((node, gpu) for node in nodes for gpu in (*held.get(node, ()), *claimed.get(node, ())))

    def view(self, graph: ClusterGraph, reserved: Callable[[str, str], Host | None]) -> extender.View:
        """The nodes as a scheduler extender sees them; ``reserved`` is a node as it is for a reservation's pods."""
        with self._lock:
            self._observe()
            told, view = self._use.told, self._view
            if view is None or view[0] is not graph or view[1:3] != (told, self._changes):
                held = {name: self._occupied.on(name) for name in graph.nodes}
                taken = {name: gpus for name, gpus in held.items() if gpus}
                fleet = hosts.of_graph(graph, taken, told=told)
                view = self._view = graph, told, self._changes, extender.view(fleet, reserved)
            return view[3]

    def reserved_for(self, graph: ClusterGraph, node: str, key: str) -> Host | None:
        """The node as it is for pods of a reservation: that one's GPUs are theirs."""
        with self._lock:
            base = self._at(graph, MappingProxyType({}), degraded=True).bases.get(node)
            return None if base is None else self._occupied.reserved_for(base, key)

    def _observe(self) -> None:
        self._use, self._claims = self._used(), self._claimed()
        counted = _with_unknown(self._counted(), self._claims.unknown)
        self._update(self._occupied.observe(self._use.held, counted, self._claims.held))

    def _update(self, nodes: set[str]) -> None:
        """The nodes where something else is taken now."""
        self._changes += bool(nodes)
        for kept in self._kept.values():
            kept.update(nodes)

    def _at(self, graph: ClusterGraph, links: Mapping[str, Link], *, degraded: bool, by_claim: bool = False) -> Kept:
        published = self._claims.published
        if self._of is None or self._of[0] is not graph or self._of[1:] != (self._use.told, published):
            self._of = graph, self._use.told, published
            self._kept.clear()
        key = tuple(sorted(links.items())), degraded, by_claim
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= _MOST_STATES:
                del self._kept[next(iter(self._kept))]
            given = published if by_claim else None
            fleet = hosts.of_graph(graph, degraded=degraded, told=self._use.told, published=given)
            found = self._kept[key] = Kept(fleet.hosts, State(fleet, links), self._occupied)
            for host in fleet.hosts.values():
                left = self._occupied.left(host)
                if left is not host:
                    found.state.put(left)
        return found


def _with_unknown(counted: Counted, unknown: Mapping[str, int]) -> Counted:
    """With devices that claims hold, of which it is not known which GPUs they are."""
    if not unknown:
        return counted
    found = {node: dict(of_node) for node, of_node in counted.items() if node in unknown}
    for node, devices in unknown.items():
        mine = found.setdefault(node, {})
        mine[""] = mine.get("", 0) + devices
    return {**counted, **found}
