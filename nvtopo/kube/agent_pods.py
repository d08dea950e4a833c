"""The agents' pods, followed at the API server: list once, watch on from there."""

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec

from nvtopo.cluster.silence import AgentPod, Away, PodEvent, PodGone, PodSeen, PodsListed
from nvtopo.errors import ApiError, NvtopoError, ParseError
from nvtopo.kube.client import Client
from nvtopo.kube.refusal import Throttled
from nvtopo.kube.v1alpha1 import Metadata
from nvtopo.model.records.record import Record
from nvtopo.runtime.backoff import Backoff
from nvtopo.wire.documents import Json

logger = logging.getLogger(__name__)

SELECTOR: Final = "app.kubernetes.io/name=nvtopo,app.kubernetes.io/component=agent"


class _Condition(Record, frozen=True, kw_only=True):
    type: str = ""
    status: str = ""
    last_transition_time: str | None = None


class _Spec(Record, frozen=True, kw_only=True):
    node_name: str = ""


class _Status(Record, frozen=True, kw_only=True):
    conditions: tuple[_Condition, ...] | None = None


class _Pod(Record, frozen=True, kw_only=True):
    metadata: Metadata
    spec: _Spec = _Spec()
    status: _Status = _Status()


_POD: Final = Json(_Pod, "a Pod")


class AgentPods:
    """The pods of the agents in one namespace."""

    def __init__(self, client: Client, namespace: str, *, backoff: Callable[[], Backoff] = Backoff) -> None:
        self._client = client
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._backoff = backoff

    def events(self, stop: threading.Event) -> Iterator[PodEvent]:
        """``PodsListed`` first and after each loss, then what happens, until ``stop`` is set.

        ``Away`` tells that it fails; it is tried again for as long as that takes.
        """
        backoff, failing = self._backoff(), False
        while not stop.is_set():
            try:
                pods, place = self._list()
                yield PodsListed(pods)
                if failing:
                    logger.warning("the API server answers again", extra={"collection": self._path})
                backoff.reset()
                failing = False
                yield from self._watch(place, stop)
            except (ApiError, ParseError) as error:
                if not failing and not stop.is_set():
                    logger.warning("cannot follow the agents' pods, trying on", extra={"reason": str(error)})
                failing = True
                yield Away()
                stop.wait(_pause(backoff, error))

    def _list(self) -> tuple[dict[str, AgentPod], str]:
        found, place = {}, ""
        for page in self._client.pages(self._path, selector=SELECTOR):
            place = page.metadata.resource_version
            for item in page.items:
                try:
                    name, agent = decode_agent(item)
                except ParseError as error:
                    _say_left_out(error)
                    continue
                found[name] = agent
        return found, place

    def _watch(self, place: str, stop: threading.Event) -> Iterator[PodEvent]:
        """Watches one after the other, each from where the one before ended."""
        while not stop.is_set():
            silent = True
            for event in self._client.watch(self._path, place, stop, selector=SELECTOR):
                silent = False
                try:
                    pod = _POD.read(event.object)
                except ParseError as error:
                    _say_left_out(error)
                    continue
                place = pod.metadata.resource_version or place
                if event.type == "DELETED":
                    yield PodGone(pod.metadata.name)
                elif event.type in ("ADDED", "MODIFIED"):
                    yield PodSeen(pod.metadata.name, _agent(pod))
            if silent:
                stop.wait(_SILENT_WATCH_SECONDS)


#: Between watches that end without a word, which may have ended at once.
_SILENT_WATCH_SECONDS: Final = 1.0


def _pause(backoff: Backoff, error: NvtopoError) -> float:
    return backoff.delay(error.retry_after if isinstance(error, Throttled) else 0.0)


def decode_agent(item: msgspec.Raw) -> tuple[str, AgentPod]:
    """A pod's name, and what it says of its agent.

    Raises:
        ParseError: it is no Pod.
    """
    pod = _POD.read(item)
    return pod.metadata.name, _agent(pod)


def _say_left_out(error: ParseError) -> None:
    """One pod that is none costs the sign of life of one node."""
    logger.warning("a pod can't be read, its node counts as silent", extra={"reason": str(error)})


def _agent(pod: _Pod) -> AgentPod:
    ready = next((one for one in pod.status.conditions or () if one.type == "Ready"), None)
    if ready is None:
        return AgentPod(pod.spec.node_name, ready=False)
    return AgentPod(pod.spec.node_name, ready.status == "True", _unix(ready.last_transition_time))


def _unix(text: str | None) -> float | None:
    """None too for a moment that is in no year from 1 to 9999 in UTC."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).timestamp() if text else None
    except (ValueError, OverflowError):
        return None
