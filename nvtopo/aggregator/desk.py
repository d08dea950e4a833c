"""``Desk``: gangs are placed here, on the latest graph and under the ledger. Used by several threads at once."""

import hashlib
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, TypeVar

from nvtopo.cluster.graph import ClusterGraph
from nvtopo.errors import ReadError
from nvtopo.exporters import extender
from nvtopo.placement import hosts
from nvtopo.placement.devices import NOTHING_CLAIMED, Claimed
from nvtopo.placement.document import Parsed
from nvtopo.placement.fleet import Host
from nvtopo.placement.ledger import Gpu, Ledger, Reservation
from nvtopo.placement.links import Link
from nvtopo.placement.occupied import Counted, Occupied
from nvtopo.placement.request import Load
from nvtopo.placement.result import Assignment, NoFit, PlacementResult
from nvtopo.placement.state import State

T = TypeVar("T")


class Use(NamedTuple):
    """GPUs that pods hold, with or without a reservation."""

    held: Mapping[str, Collection[int]] = MappingProxyType({})
    """Node → indices of GPUs."""
    told: frozenset[str] | None = None
    """The nodes of which that is known; None if nobody asks."""


NOBODY_ASKS: Final = Use()
#: Link figures and health that requests name: states that are kept beside each other.
_MOST_STATES: Final = 4


class Books(Protocol):
    """Where the ledger is kept: ``nvtopo.kube.reservations.Reservations``."""

    def submit(self, operation: Callable[[Ledger], T]) -> Future[T]:
        """What the operation gives, once the ledger that it made is stored."""
        ...  # pragma: no cover


class NoGraph(ReadError):
    """No node has been listed yet."""


class Placed(NamedTuple):
    """An answer, and whether its GPUs were reserved by this call."""

    answer: PlacementResult
    new: bool


class _Kept(NamedTuple):
    """A fleet of the latest graph, and its state with what is taken now."""

    bases: Mapping[str, Host]
    """The hosts with all of their GPUs that are well free."""
    state: State


class Desk:
    """Places, reserves, confirms and releases: each at once, as a future, or waiting for what comes of it."""

    def __init__(  # noqa: PLR0913 - where facts come from, each with a default
        self,
        graph: Callable[[], ClusterGraph | None],
        books: Books,
        clock: Callable[[], float],
        *,
        used: Callable[[], Use] = lambda: NOBODY_ASKS,
        counted: Callable[[], Counted] = lambda: MappingProxyType({}),
        load: Callable[[float], Mapping[str, Load]] = lambda _seconds: MappingProxyType({}),
        claimed: Callable[[], Claimed] = lambda: NOTHING_CLAIMED,
        seconds: float = 300.0,
    ) -> None:
        """``used`` are the GPUs that pods hold; ``counted`` is how many GPUs the pods of each node ask for.

        ``load`` is what was measured of the nodes in the last so many seconds.
        ``claimed`` are the GPUs that ResourceClaims hold, and those that a claim may get.

        What is not confirmed within ``seconds`` is free again.
        """
        self._graph, self._books, self._clock, self._seconds = graph, books, clock, seconds
        self._used, self._counted, self._load, self._claimed = used, counted, load, claimed
        self._lock = threading.Lock()
        self._occupied = Occupied()
        self._use = NOBODY_ASKS
        self._claims = NOTHING_CLAIMED
        self._of: tuple[ClusterGraph, frozenset[str] | None, Mapping[str, frozenset[int]] | None] | None = None
        self._kept: dict[tuple[tuple[tuple[str, Link], ...], bool, bool], _Kept] = {}
        self._changes = 0
        self._view: tuple[ClusterGraph, frozenset[str] | None, int, extender.View] | None = None

    def look(self, parsed: Parsed) -> PlacementResult:
        """Where the gang would go now; nothing is reserved.

        Raises:
            ReadError: there is no graph, or the ledger can't be read.
            UsageError: the request makes no sense.
        """
        return self.looking(parsed).result()

    def looking(self, parsed: Parsed) -> Future[PlacementResult]:
        """``look`` for who does not wait here."""
        return self._books.submit(lambda ledger: self._found(parsed, ledger, self._latest()))

    def place(self, key: str, content: bytes, parsed: Parsed, *, lasting: bool = False) -> Placed:
        """Reserve the best GPUs for the gang under this ID; the same call once more gives the same answer.

        With ``lasting`` it is confirmed at once.

        Raises:
            Refused: another request has the ID, or the ledger is full.
            ReadError, UsageError: as ``look``.
        """
        return self.placing(key, content, parsed, lasting=lasting).result()

    def placing(
        self, key: str, content: bytes, parsed: Parsed, *, lasting: bool = False, by_claim: bool = False
    ) -> Future[Placed]:
        """``place`` for who does not wait here; ``by_claim`` only on GPUs that a DRA driver gives to claims.

        Raises:
            NoGraph: at once.
        """
        fingerprint = hashlib.sha256(content).hexdigest()
        graph, until = self._latest(), None if lasting else self._clock() + self._seconds

        def reserve(ledger: Ledger) -> Placed:
            there = ledger.get(key, fingerprint)
            if there is not None:
                return Placed(there.answer, new=False)
            answer = self._found(parsed, ledger, graph, by_claim=by_claim)
            if isinstance(answer, NoFit):
                return Placed(answer, new=False)
            wanted = Reservation(id=key, fingerprint=fingerprint, until=until, answer=answer)
            ledger.reserve(wanted, self._in_use(answer))
            return Placed(answer, new=True)

        return self._books.submit(reserve)

    def confirm(self, key: str) -> None:
        """The reservation no longer expires.

        Raises:
            Unknown: it is not there, or has expired.
        """
        self.confirming(key).result()

    def confirming(self, key: str) -> Future[Reservation]:
        """``confirm`` for who does not wait here."""
        return self._books.submit(lambda ledger: ledger.confirm(key))

    def release(self, key: str) -> bool:
        """Its GPUs are free; whether it was there."""
        return self.releasing(key).result()

    def releasing(self, key: str) -> Future[bool]:
        """``release`` for who does not wait here."""
        return self._books.submit(lambda ledger: ledger.release(key))

    def held(self, prefix: str) -> Mapping[str, Assignment]:
        """The reservations whose IDs begin so, as they are stored now."""

        def found(ledger: Ledger) -> dict[str, Assignment]:
            return {key: one.answer for key, one in ledger.reservations.items() if key.startswith(prefix)}

        return self._books.submit(found).result()

    def view(self) -> extender.View:
        """The nodes as a scheduler extender sees them: the ledger as this process last saw it, nothing is asked for.

        What pods use whose GPUs are not known, kube-scheduler counts itself.
        """
        graph = self._latest()
        with self._lock:
            self._observe()
            told, view = self._use.told, self._view
            if view is None or view[0] is not graph or view[1:3] != (told, self._changes):
                held = {name: self._occupied.on(name) for name in graph.nodes}
                taken = {name: gpus for name, gpus in held.items() if gpus}
                fleet = hosts.of_graph(graph, taken, told=told)
                view = self._view = graph, told, self._changes, extender.view(fleet, self._for)
            return view[3]

    def _for(self, node: str, key: str) -> Host | None:
        """The node as it is for pods of a reservation: that one's GPUs are theirs."""
        graph = self._latest()
        with self._lock:
            base = self._at(graph, MappingProxyType({}), degraded=True).bases.get(node)
            return None if base is None else self._occupied.reserved_for(base, key)

    def _latest(self) -> ClusterGraph:
        graph = self._graph()
        if graph is None:
            raise NoGraph("the NodeTopologies have not been listed yet")
        return graph

    def _found(self, parsed: Parsed, ledger: Ledger, graph: ClusterGraph, *, by_claim: bool = False) -> PlacementResult:
        with self._lock:
            self._update(self._occupied.follow(ledger))
            self._observe()
            state = self._at(graph, parsed.links, degraded=parsed.allow_degraded, by_claim=by_claim).state
            return state.place(parsed.with_load(self._load), graph.generation)

    def _observe(self) -> None:
        self._use, self._claims = self._used(), self._claimed()
        counted = _with_unknown(self._counted(), self._claims.unknown)
        self._update(self._occupied.observe(self._use.held, counted, self._claims.held))

    def _update(self, nodes: set[str]) -> None:
        """The nodes where something else is taken now."""
        self._changes += bool(nodes)
        for bases, state in self._kept.values():
            for node in nodes:
                if node in bases:
                    state.put(self._occupied.left(bases[node]))

    def _at(self, graph: ClusterGraph, links: Mapping[str, Link], *, degraded: bool, by_claim: bool = False) -> _Kept:
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
            found = self._kept[key] = _Kept(fleet.hosts, State(fleet, links))
            for host in fleet.hosts.values():
                left = self._occupied.left(host)
                if left is not host:
                    found.state.put(left)
        return found

    def _in_use(self, answer: Assignment) -> frozenset[Gpu]:
        held, claimed = self._use.held, self._claims.held
        nodes = {rank.node for rank in answer.ranks}
        return frozenset((node, gpu) for node in nodes for gpu in (*held.get(node, ()), *claimed.get(node, ())))


def _with_unknown(counted: Counted, unknown: Mapping[str, int]) -> Counted:
    """With devices that claims hold, of which it is not known which GPUs they are."""
    if not unknown:
        return counted
    found = {node: dict(of_node) for node, of_node in counted.items() if node in unknown}
    for node, devices in unknown.items():
        mine = found.setdefault(node, {})
        mine[""] = mine.get("", 0) + devices
    return {**counted, **found}
