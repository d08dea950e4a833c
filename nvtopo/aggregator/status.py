"""Every node's ``status``, written by the one replica that leads: its NVLink domain, and whether it is ready."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from nvtopo.aggregator.loop import Aggregator
from nvtopo.cluster.claims import NVLINK_DOMAIN
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.cluster.learned import Learning
from nvtopo.cluster.nodes import GraphNode
from nvtopo.cluster.records import EMPTY, NodeRecord
from nvtopo.kube.applier import Applier
from nvtopo.kube.v1alpha1_status import Condition, Status
from nvtopo.model.conclusions import health_words
from nvtopo.model.conclusions.health_kinds import Code
from nvtopo.model.records.expected import Expectation
from nvtopo.model.records.standing import Standing
from nvtopo.runtime.guard import Failed

#: How often to look whether this replica leads now.
_PAUSE_SECONDS: Final = 2.0
#: A watch that is later than that has ended.
_AGAIN_SECONDS: Final = 10.0
_MOST_MESSAGE_CHARACTERS: Final = 512
#: Reason of the health → of the condition, where it is not known whether the node is ready.
_UNKNOWN: Final[Mapping[Code, str]] = MappingProxyType({"no-gpu": "NoGpu", "nvlinks-training": "LinksTraining"})


def status_of(node: GraphNode, learned: Expectation | None = None, record: NodeRecord = EMPTY) -> Status:
    """What the graph concludes of a node. ``learned`` is what other machines of its shape have.

    Without a transition time: a new leader then concludes the very same, and the API server stores nothing.
    """
    topology = node.topology
    return Status(
        gpus=None if topology is None else len(topology.gpus),
        nics=None if topology is None else len(topology.nics),
        domain=node.tiers.get(NVLINK_DOMAIN),
        conditions=(_readiness(node), *_drift(node)),
        claims=record.claims,
        identifiers=record.identifiers,
        expected=_expected(node, learned),
    )


def _expected(node: GraphNode, learned: Expectation | None) -> Standing | None:
    accepted = node.accepted
    if accepted is None:
        return None if learned is None else Standing(learned=learned)
    until = accepted.until or ""
    return Standing(accepted=accepted.expect, learned=learned, until=until, reason=accepted.reason)


def _readiness(node: GraphNode) -> Condition:
    """From the node's health alone, as the label ``ready``: absent there is Unknown here."""
    if node.stale:
        return Condition(type="Ready", status="Unknown", reason="Stale", message=_said(node))
    if node.in_store and node.topology is None:
        return Condition(type="Ready", status="Unknown", reason="Unreadable", message=_said(node))
    health = node.judged
    if health is not None and health.ready:
        return Condition(type="Ready", status="True", reason="AllWell")
    if health is None or health.ready is None:
        codes = () if health is None else tuple(reason.code for reason in health.reasons)
        reason = next((_UNKNOWN[code] for code in codes if code in _UNKNOWN), "NotKnown")
        return Condition(type="Ready", status="Unknown", reason=reason, message=_said(node))
    return Condition(type="Ready", status="False", reason="Problems", message=_said(node))


def _drift(node: GraphNode) -> tuple[Condition, ...]:
    """A condition if the node, or its rack or domain, differs from what is expected; none otherwise."""
    said = [finding.reason for finding in node.findings if finding.kind == "drift"]
    message = "; ".join(said)[:_MOST_MESSAGE_CHARACTERS]
    return (Condition(type="Drift", status="True", reason="Differs", message=message),) if said else ()


def _said(node: GraphNode) -> str:
    """The node's problems; where it has none, the reasons of its health."""
    said = [f"{problem.subject}: {problem.reason}" for problem in node.problems]
    if not said and node.judged is not None:
        said = [health_words.sentence(reason) for reason in node.judged.reasons]
    return "; ".join(said)[:_MOST_MESSAGE_CHARACTERS]


class StatusWriter:
    """Passes every node's status, from the latest graph, to the applier while this replica leads.

    Work is proportional to change: a node that is as it was in the graph before is not looked at.
    """

    def __init__(
        self,
        aggregator: Aggregator,
        applier: Applier[Status],
        term: Callable[[], int | None],
        *,
        has: Callable[[str, Status], bool] = lambda _name, _status: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``term`` is the term of leadership; None for who does not lead. ``has``: is that status there already?"""
        self._aggregator = aggregator
        self._applier = applier
        self._term = term
        self._has = has
        self._clock = clock
        self._wanted_in: int | None = None
        self._sweep_at: float | None = None
        self._learning = Learning()
        self._changed = threading.Event()
        self._lock = threading.Lock()
        self._names: set[str] = set()

    def run(self, stop: threading.Event) -> None:
        """Until ``stop`` is set: on every new graph, and when this replica begins to lead."""
        end_listening = self._aggregator.listen(self._heard)
        first = True
        try:
            while not stop.is_set():
                self._changed.clear()
                names, graph = self._take(), self._aggregator.graph
                if graph is not None:
                    self.want(graph, graph.nodes if first else names)
                    first = False
                self._changed.wait(_PAUSE_SECONDS)
        finally:
            end_listening()

    def want(self, graph: ClusterGraph, changed: Iterable[str]) -> None:
        """The nodes that changed; all of them in a new term, since others may have written meanwhile."""
        changed = tuple(changed)
        names = {*changed, *self._learn(graph, changed)}
        self._note(graph, changed)
        term = self._term()
        if self._all_are_due(term):
            names |= {*graph.nodes}
        if term is None:
            return
        for name in names:
            node = graph.nodes.get(name)
            if node is None or not node.in_store:
                self._applier.forget(name)
                continue
            status = self._aggregator.guard.call(node, "status", partial(self._status_of, node, graph))
            if isinstance(status, Failed) or (self._has(name, status) and not self._applier.knows(name)):
                continue
            self._aggregator.spans.wanted(name, graph.generation)
            self._applier.want(name, status, term)

    def _all_are_due(self, term: int | None) -> bool:
        """In a new term, and once more a while later: what the leader before wrote last may not have been heard yet."""
        now = self._clock()
        if term != self._wanted_in:
            self._wanted_in, self._sweep_at = term, now + _AGAIN_SECONDS
            return True
        if self._sweep_at is None or now < self._sweep_at:
            return False
        self._sweep_at = None
        return True

    def _status_of(self, node: GraphNode, graph: ClusterGraph) -> Status:
        status = status_of(node, self._learning.of(node), graph.records.get(node.name, EMPTY))
        return replace(status, history=self._aggregator.trail.of(node.name))

    def _note(self, graph: ClusterGraph, changed: Iterable[str]) -> None:
        """What changed, into the trails; who does not lead notes it too."""
        for name in changed:
            node = graph.nodes.get(name)
            if node is None or not node.in_store:
                self._aggregator.trail.see(name, None)
            else:
                self._aggregator.guard.call(node, "trail", partial(self._aggregator.trail.see, name, node))

    def _learn(self, graph: ClusterGraph, changed: Iterable[str]) -> set[str]:
        """The nodes of whose products another thing is learned now; who does not lead learns too."""
        relearned: set[str] = set()
        for name in changed:
            node = graph.nodes.get(name)
            if node is None:
                relearned |= set(self._learning.see({name: None}))
                continue
            found = self._aggregator.guard.call(node, "learn", partial(self._learning.see, {name: node}))
            relearned |= set() if isinstance(found, Failed) else found
        return {name for name, node in graph.nodes.items() if _product(node) in relearned} if relearned else set()

    def _heard(self) -> None:
        """In the loop's thread, once for each graph."""
        graph = self._aggregator.graph
        if graph is not None:
            with self._lock:
                self._names |= graph.delta.nodes | graph.delta.recorded
            self._changed.set()

    def _take(self) -> set[str]:
        with self._lock:
            names, self._names = self._names, set()
        return names


def _product(node: GraphNode) -> str | None:
    return None if node.topology is None else node.topology.host.product
