"""Gangs of gated pods are placed while this replica leads: the thread around ``gangs.policy``.

Every replica follows the pods, since each counts their GPUs as used when it places something.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Final, Protocol

from nvtopo.aggregator.claim_refusals import GangChange, writing
from nvtopo.aggregator.counted_pods import CountedPods
from nvtopo.aggregator.desk import Desk, Placed
from nvtopo.aggregator.fleets import AskedFor
from nvtopo.aggregator.gang_claimer import GangClaimer
from nvtopo.aggregator.gang_mover import GangMover
from nvtopo.aggregator.gang_writer import GangWriter
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.errors import ApiError, ReadError, UsageError
from nvtopo.gangs.moves import ALL_STAY
from nvtopo.gangs.policy import Gangs
from nvtopo.gangs.steps import (
    Attempt,
    ClaimFigures,
    Figures,
    Plan,
    Refusal,
    Result,
)
from nvtopo.kube import pod_changes, resource_claims
from nvtopo.kube.applier import Applier
from nvtopo.kube.apply_queue import Limits
from nvtopo.kube.client import Client
from nvtopo.kube.following import Listed
from nvtopo.kube.resource_claims import ClaimEvent
from nvtopo.placement.devices import Moved
from nvtopo.placement.ledger import Refused
from nvtopo.placement.pods import PREFIX, GpuPod, PodEvent, PodGone, PodsListed

logger = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 0.05
"""Between two steps: pods of a gang come together."""
READ_SECONDS: Final = 60.0
"""After which the ledger is read again."""
FAILED_SECONDS: Final = 1.0
_LONGEST_WAIT_SECONDS: Final = 1.0


class PodSource(Protocol):
    """What is needed of ``kube.gpu_pods.GpuPods``."""

    def events(self, stop: threading.Event) -> Iterator[PodEvent]:
        """What happens to pods, until ``stop`` is set."""


class GangKeeper:
    """Follows pods while ``run`` runs; as leader it places gangs, and ``applier`` writes at their pods."""

    def __init__(  # noqa: PLR0913 - what it reads and writes, and clocks with defaults
        self,
        source: PodSource,
        counted: CountedPods,
        desk: Desk,
        client: Client,
        *,
        term: Callable[[], int | None],
        graph: Callable[[], ClusterGraph | None],
        claimer: GangClaimer | None = None,
        mover: GangMover | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``clock`` gives seconds since 1970, as the API server's own times do.

        A ``claimer`` gives out exact GPUs by claims, and a ``mover`` another place to who can't have the one it had.
        """
        self._claimer = claimer
        self._source, self._counted, self._desk, self._term, self._graph = source, counted, desk, term, graph
        self._clock = clock
        self._changed = threading.Condition()
        self._gangs = Gangs(claimer.policy if claimer else None, mover.policy if mover else ALL_STAY)
        self._term_begun: int | None = None
        self._read_at, self._anew = 0.0, False
        self._generation = -1
        self._failing = False
        self._happened, self._over = False, False
        self.applier: Applier[GangChange] = Applier("gangs", writing(client, self._refuse), term, limits=limits)
        self._writer = GangWriter(self.applier, claimer, graph)
        if claimer is not None:
            claimer.devices.heard, claimer.devices.offered = self._hear, self._stir
        if mover is not None:
            mover.changed = self._look_again

    @property
    def bound(self) -> tuple[GpuPod, ...]:
        """The pods that are bound to nodes."""
        return self._counted.bound()

    @property
    def figures(self) -> Figures:
        """How many gangs there are now."""
        with self._changed:
            return self._gangs.figures

    @property
    def claim_figures(self) -> ClaimFigures | None:
        """How the barrier does; None where no claims are made."""
        with self._changed:
            return None if self._claimer is None else self._gangs.claim_figures

    @property
    def barrier(self) -> bool | None:
        """Whether a barrier holds gangs until they are whole; None if that is not known."""
        return None if self._claimer is None else self._claimer.held

    @property
    def moved(self) -> int:
        """How many ranks of placed gangs got another place so far."""
        with self._changed:
            return self._gangs.moved

    @property
    def results(self) -> tuple[Result, ...]:
        """What gangs measured, beside what was predicted."""
        with self._changed:
            return self._gangs.results

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop`` is set."""
        reader = threading.Thread(target=self._read, args=(stop,), name="gpu-pods", daemon=True)
        reader.start()
        while self._wait():
            term = self._term()
            if term is not None:
                self._step(term)
            stop.wait(PAUSE_SECONDS)
        reader.join()

    def _wait(self) -> bool:
        """Until something is to be done; False at the end."""
        with self._changed:
            seconds = self._gangs.seconds_until_next(self._clock()) if self._term_begun is not None else 1.0
            if self._failing:
                seconds = max(seconds, FAILED_SECONDS)
            self._changed.wait_for(lambda: self._happened or self._over, min(seconds, _LONGEST_WAIT_SECONDS))
            self._happened = False
            return not self._over

    def _read(self, stop: threading.Event) -> None:
        try:
            for event in self._source.events(stop):
                freed = self._counted.fold(event)
                with self._changed:
                    self._gangs.fold(event)
                    if freed:
                        self._gangs.stir(self._clock())
                    if isinstance(event, PodGone):  # before the keeper wants it anew
                        self.applier.forget(pod_changes.path_of(event.namespace, event.name))
                    self._wake()
                if isinstance(event, PodsListed):
                    self._term_begun = None  # what was written meanwhile is not known
                if stop.is_set():
                    break
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _hear(self, event: ClaimEvent, moved: Moved) -> None:
        """What happened to ResourceClaims."""
        with self._changed:
            if isinstance(event, Listed):
                gone = self._gangs.list_claims(event.objects)
            else:
                namespace, _, name = event.name.partition("/")
                self._gangs.see_claim((namespace, name), event.value)
                gone = ((namespace, name),) if event.value is None else ()
            if moved.taken:
                self._gangs.stir_held(None if isinstance(event, Listed) else event.value)
            if moved.freed:
                self._gangs.stir(self._clock())
            for key in gone:  # before the keeper wants it anew
                self.applier.forget(resource_claims.path(*key))
            self._wake()

    def _wake(self) -> None:
        self._happened = True
        self._changed.notify_all()

    def _stir(self) -> None:
        with self._changed:
            self._gangs.stir(self._clock())
            self._wake()

    def _look_again(self) -> None:
        with self._changed:
            self._gangs.look_again()
        self._stir()

    def _step(self, term: int) -> None:
        try:
            self._begin(term)
            plan = self._plan()
            self._release(plan.ended)
            self._place(plan.attempts)
            for step in (*plan.steps, *self._plan().steps):
                self._writer.write(step, term, anew=self._anew)
        except (ApiError, ReadError) as error:
            if not self._failing:
                logger.warning("cannot place gangs, trying on", extra={"reason": str(error)})
            self._failing = True
            self._term_begun = None  # so that no step is lost
        else:
            self._failing = False

    def _begin(self, term: int) -> None:
        """Read what is reserved: at the start of a term, and now and then."""
        now = self._clock()
        self._anew = now >= self._read_at
        if term != self._term_begun or self._anew:
            held = self._desk.held(PREFIX)
            with self._changed:
                self._gangs.begin(held, now)
            if self._claimer is not None:
                self._claimer.raise_barrier()
            self._term_begun, self._read_at = term, now + READ_SECONDS
        graph = self._graph()
        if graph is not None and graph.generation != self._generation:
            self._generation = graph.generation
            with self._changed:
                self._gangs.stir(now)
                self._gangs.look_again()

    def _plan(self) -> Plan:
        with self._changed:
            return self._gangs.plan(self._clock())

    def _release(self, ended: tuple[str, ...]) -> None:
        """All of them in one write of the ledger."""
        for reservation, future in [(one, self._desk.releasing(one)) for one in ended]:
            future.result()
            with self._changed:
                self._gangs.released(reservation)
        if ended:
            with self._changed:
                self._gangs.stir(self._clock())

    def _place(self, attempts: tuple[Attempt, ...]) -> None:
        """All of them in one write of the ledger, in their order."""
        begun = [(one.key, self._begun(one)) for one in attempts]
        for key, future in begun:
            found: Placed | str
            try:
                found = future.result()
            except (Refused, UsageError) as error:
                found = str(error)
            with self._changed:
                self._gangs.placed(key, found if isinstance(found, str) else found.answer, self._clock())

    def _begun(self, one: Attempt) -> Future[Placed]:
        asked, pods = one.asked, AskedFor(one.asked.by_claim, one.closed)
        if one.move:
            return self._desk.moving(one.key.id, asked.parsed, one.move, pods)
        return self._desk.placing(one.key.id, asked.content, asked.parsed, lasting=True, pods=pods)

    def _refuse(self, refusal: Refusal) -> None:
        with self._changed:
            self._gangs.refuse(refusal)
            self._wake()
