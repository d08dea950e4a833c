"""``Desk``: gangs are placed here, on the latest graph and under the ledger. Used by several threads at once."""

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeVar

from nvtopo.aggregator.fleets import ANY_PODS, NOBODY_ASKS, AskedFor, Fleets, Use
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.errors import ReadError
from nvtopo.exporters import extender
from nvtopo.placement.devices import NOTHING_CLAIMED, Claimed
from nvtopo.placement.document import Parsed
from nvtopo.placement.fleet import Host
from nvtopo.placement.ledger import Ledger, Reservation
from nvtopo.placement.occupied import Counted
from nvtopo.placement.replacement import Site, of_whole, replaced
from nvtopo.placement.request import Load
from nvtopo.placement.result import Assignment, NoFit, PlacementResult, Rank

T = TypeVar("T")


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
        self._graph, self._books, self._clock, self._seconds, self._load = graph, books, clock, seconds, load
        self._fleets = Fleets(used, counted, claimed)

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
        self, key: str, content: bytes, parsed: Parsed, *, lasting: bool = False, pods: AskedFor = ANY_PODS
    ) -> Future[Placed]:
        """``place`` for who does not wait here, and for these pods.

        Raises:
            NoGraph: at once.
        """
        fingerprint = hashlib.sha256(content).hexdigest()
        graph, until = self._latest(), None if lasting else self._clock() + self._seconds

        def reserve(ledger: Ledger) -> Placed:
            there = ledger.get(key, fingerprint)
            if there is not None:
                return Placed(there.answer, new=False)
            answer = self._found(parsed, ledger, graph, pods)
            if isinstance(answer, NoFit):
                return Placed(answer, new=False)
            wanted = Reservation(id=key, fingerprint=fingerprint, until=until, answer=answer)
            ledger.reserve(wanted, self._fleets.in_use(answer.ranks))
            return Placed(answer, new=True)

        return self._books.submit(reserve)

    def moving(self, key: str, parsed: Parsed, lost: tuple[Rank, ...], pods: AskedFor = ANY_PODS) -> Future[Placed]:
        """Other places for these ranks of a reservation, the others untouched; what was moved already stays.

        The result raises ``Unknown`` if there is no such reservation.

        Raises:
            NoGraph: at once.
        """
        graph = self._latest()

        def move(ledger: Ledger) -> Placed:
            there = ledger.get_known(key).answer
            ranks = tuple(rank for rank in lost if rank in there.ranks)
            if not ranks:
                return Placed(there, new=False)
            answer = self._replaced(parsed, ledger, graph, there, ranks, pods)
            if isinstance(answer, Assignment):
                ledger.move(key, answer, self._fleets.in_use(set(answer.ranks) - set(there.ranks)))
            return Placed(answer, new=isinstance(answer, Assignment))

        return self._books.submit(move)

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
        return self._fleets.view(self._latest(), self._for)

    def _for(self, node: str, key: str) -> Host | None:
        """The node as it is for pods of a reservation: that one's GPUs are theirs."""
        return self._fleets.reserved_for(self._latest(), node, key)

    def _latest(self) -> ClusterGraph:
        graph = self._graph()
        if graph is None:
            raise NoGraph("the NodeTopologies have not been listed yet")
        return graph

    def _found(self, parsed: Parsed, ledger: Ledger, graph: ClusterGraph, pods: AskedFor = ANY_PODS) -> PlacementResult:
        with self._fleets.now(graph, ledger, parsed, pods) as kept:
            return kept.state.place(parsed.with_load(self._load), graph.generation)

    def _replaced(  # noqa: PLR0913, PLR0917 - what is moved, and where it may go
        self,
        parsed: Parsed,
        ledger: Ledger,
        graph: ClusterGraph,
        there: Assignment,
        lost: tuple[Rank, ...],
        pods: AskedFor,
    ) -> PlacementResult:
        given_up: dict[str, list[int]] = {}
        for rank in lost:
            given_up.setdefault(rank.node, []).extend(rank.gpus)
        with self._fleets.now(graph, ledger, parsed, pods) as kept:
            everyone = tuple(kept.giving_up(given_up))
        site = Site(everyone, parsed.links, graph.generation)
        return replaced(site, of_whole(parsed.request, there), there, lost)
