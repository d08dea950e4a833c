"""The thread that keeps the node's ResourceSlices as the NodeTopology says, and those that follow both."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from nvtopo.dra.health_board import HealthBoard
from nvtopo.dra.messages import DeviceHealth
from nvtopo.dra.publish_policy import Action, Create, Delete, PublishPolicy, Replace, Wait
from nvtopo.errors import ApiError, ParseError
from nvtopo.exporters.resource_slices import slices
from nvtopo.exporters.shadows import Shadow, shadows
from nvtopo.kube import own_slices
from nvtopo.kube.client import Client
from nvtopo.kube.following import Changed, Listed
from nvtopo.kube.own_slices import Present
from nvtopo.kube.refusal import Throttled
from nvtopo.model.records.node import NodeTopology
from nvtopo.runtime.guard import Failed, Guard

logger = logging.getLogger(__name__)

_LONGEST_WAIT_SECONDS: Final = 3600.0


class ChangeStream(Protocol):
    """What is needed of ``kube.following.Following``."""

    def events(self, stop: threading.Event) -> Iterator[Listed[Any] | Changed[Any]]:
        """``Listed`` first and after each loss, then what happens, until ``stop`` is set."""


class Publisher:
    """One node's slices, and the board with the health of what is in them."""

    def __init__(
        self,
        client: Client,
        node: str,
        board: HealthBoard,
        *,
        policy: PublishPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._node = node
        self._board = board
        self._policy = policy or PublishPolicy()
        self._clock = clock
        self._guard = Guard()
        self._changed = threading.Condition()
        self._documents: dict[str, dict[str, Any]] = {}

    def registered(self, known: bool, reason: str) -> None:  # noqa: FBT001 - as the kubelet says it
        """What the kubelet made of the plugin."""
        if known:
            logger.info("registered with the kubelet")
        else:
            logger.error("the kubelet refused the plugin: nothing is published", extra={"reason": reason})
        with self._changed:
            self._policy.registered(known=known)
            self._changed.notify_all()

    def topology(self, node: NodeTopology | None) -> None:
        """What the node is now; None if nobody says it any more."""
        if node is None:
            self._board.put(None)
            with self._changed:
                self._policy.lose(self._clock())
                self._changed.notify_all()
            return
        found = self._guard.call(self._node, "shadows", lambda: shadows(node))
        if isinstance(found, Failed):
            return
        documents = {one["metadata"]["name"]: one for one in slices(self._node, found)}
        wanted = {name: own_slices.content(document) for name, document in documents.items()}
        of = {one.name: one for one in (*found.nodes, *found.gpus, *found.nics)}
        self._board.put(
            tuple(
                _health(one["spec"]["pool"]["name"], of[device["name"]])
                for one in documents.values()
                for device in one["spec"]["devices"]
            )
        )
        with self._changed:
            self._documents = documents
            self._policy.want(wanted)
            self._changed.notify_all()

    def follow_topology(self, source: ChangeStream, stop: threading.Event) -> None:
        """Run until ``stop`` is set."""
        for event in source.events(stop):
            if isinstance(event, Listed):
                self.topology(event.objects.get(self._node))
            elif event.name == self._node:
                self.topology(event.value)

    def follow_slices(self, source: ChangeStream, stop: threading.Event) -> None:
        """Run until ``stop`` is set."""
        for event in source.events(stop):
            with self._changed:
                if isinstance(event, Listed):
                    self._policy.stand(event.objects)
                else:
                    self._policy.changed(event.name, event.value, self._clock())
                self._changed.notify_all()

    def run(self, stop: threading.Event) -> None:
        """Write what is due, until ``stop`` is set and ``wake`` was called."""
        while True:
            with self._changed:
                if stop.is_set():
                    return
                action = self._policy.next(self._clock())
                if isinstance(action, Wait):
                    self._changed.wait(min(_LONGEST_WAIT_SECONDS, max(0.0, action.until - self._clock())))
                    continue
                document = self._documents.get(action.name)
            self._do(action, document)

    def wake(self) -> None:
        """Wake ``run``, which looks for what changed."""
        with self._changed:
            self._changed.notify_all()

    def _do(self, action: Create | Replace | Delete, document: dict[str, Any] | None) -> None:
        try:
            _write(self._client, action, document)
        except (ApiError, ParseError) as error:
            after = error.retry_after if isinstance(error, Throttled) else 0.0
            with self._changed:
                first = self._policy.failed(self._clock(), after)
            if first:
                said = "cannot write a ResourceSlice, trying on"
                logger.warning(said, extra={"slice": action.name, "reason": str(error)})
            return
        with self._changed:
            again = self._policy.wrote(action.name, self._clock())
        logger.log(
            logging.WARNING if again else logging.INFO,
            "wrote a ResourceSlice",
            extra={"slice": action.name, "what": type(action).__name__.lower()},
        )


def _write(client: Client, action: Action, document: dict[str, Any] | None) -> None:
    match action:
        case Create() if document is not None:
            own_slices.create(client, document)
        case Replace(_, Present() as present) if document is not None:
            own_slices.replace(client, document, present)
        case Delete(name):
            own_slices.delete(client, name)


def _health(pool: str, one: Shadow) -> DeviceHealth:
    state: Any = "unhealthy" if one.ill else "healthy" if one.known else "unknown"
    return DeviceHealth(pool, one.name, state, one.words)
