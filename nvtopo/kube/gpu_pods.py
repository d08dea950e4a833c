"""Pods that ask for GPUs, claim devices or belong to a gang, of all namespaces, followed at the API server.

The API server can't select pods by what they ask for, so all of them come by; nothing is kept of the others.
"""

import threading
from collections.abc import Callable, Iterator
from math import inf
from typing import Any, Final

import msgspec

from nvtopo.kube.client import Client
from nvtopo.kube.following import FORBIDDEN_SECONDS, Changed, Collection, Following, Listed, Read, Words
from nvtopo.kube.timestamps import unix
from nvtopo.model.records.record import Record
from nvtopo.placement import pods
from nvtopo.placement.pods import GpuPod, PodEvent, PodGone, PodSeen, PodsListed, Toleration
from nvtopo.runtime.backoff import Backoff
from nvtopo.wire.documents import Json

COLLECTION: Final = "/api/v1/pods"
GPU: Final = "nvidia.com/gpu"
MOST_PODS: Final = 200_000
"""That are kept; a cluster has fewer GPUs."""
_LARGEST_COUNT: Final = 5
_LONGEST_MEASURE: Final = 32
_GROUP: Final = "leaderworkerset.sigs.k8s.io/group-index"
_OUTER: Final = "jobset.sigs.k8s.io/job-global-index"
#: The label of whoever made the pod, outermost first: a JobSet's Job is a Job too.
_JOBS: Final = (
    "jobset.sigs.k8s.io/jobset-name",
    "leaderworkerset.sigs.k8s.io/name",
    "training.kubeflow.org/job-name",
    "trainer.kubeflow.org/trainjob-name",
    "ray.io/cluster",
    "batch.kubernetes.io/job-name",
)
_INNER: Final = (
    "batch.kubernetes.io/job-completion-index",
    "leaderworkerset.sigs.k8s.io/worker-index",
    "apps.kubernetes.io/pod-index",
)


class _Owner(Record, frozen=True, kw_only=True):
    kind: str = ""
    uid: str = ""
    controller: bool | None = None


class _Metadata(Record, frozen=True, kw_only=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[_Owner] | None = None


class _Resources(Record, frozen=True, kw_only=True):
    limits: dict[str, str | int] | None = None
    requests: dict[str, str | int] | None = None


class _Container(Record, frozen=True, kw_only=True):
    resources: _Resources = _Resources()
    restart_policy: str = ""


class _Gate(Record, frozen=True, kw_only=True):
    name: str = ""


class _Claim(Record, frozen=True, kw_only=True):
    name: str = ""
    resource_claim_name: str = ""
    resource_claim_template_name: str = ""


class _ClaimStatus(Record, frozen=True, kw_only=True):
    name: str = ""
    resource_claim_name: str | None = None


class _Terms(Record, frozen=True, kw_only=True):
    node_selector_terms: list[dict[str, list[Any] | None]] | None = None


class _NodeAffinity(Record, frozen=True, kw_only=True):
    required: _Terms | None = msgspec.field(default=None, name="requiredDuringSchedulingIgnoredDuringExecution")


class _Affinity(Record, frozen=True, kw_only=True):
    node_affinity: _NodeAffinity | None = None


class _Spec(Record, frozen=True, kw_only=True):
    containers: list[_Container] | None = None
    init_containers: list[_Container] | None = None
    node_name: str = ""
    priority: int | None = None
    priority_class_name: str = ""
    scheduling_gates: list[_Gate] | None = None
    resource_claims: list[_Claim] | None = None
    affinity: _Affinity | None = None
    tolerations: list[Toleration] | None = None


class _Status(Record, frozen=True, kw_only=True):
    phase: str = ""
    resource_claim_statuses: list[_ClaimStatus] | None = None


class _Pod(Record, frozen=True, kw_only=True):
    metadata: _Metadata = _Metadata()
    spec: _Spec = _Spec()
    status: _Status = _Status()


_POD: Final = Json(_Pod, "a Pod")


class GpuPods:
    """The pods of all namespaces, as far as they are of interest."""

    def __init__(
        self, client: Client, *, backoff: Callable[[], Backoff] = Backoff, forbidden_seconds: float = FORBIDDEN_SECONDS
    ) -> None:
        self._following = Following(client, _FOLLOWED, backoff=backoff, forbidden_seconds=forbidden_seconds)
        self._kept: set[tuple[str, str]] = set()

    def events(self, stop: threading.Event) -> Iterator[PodEvent]:
        """``PodsListed`` first and after each loss, then what happens, until ``stop`` is set."""
        for event in self._following.events(stop):
            if isinstance(event, Listed):
                found = [pod for pod in event.objects.values() if pod is not None][:MOST_PODS]
                self._kept = {pod.key for pod in found}
                yield PodsListed(tuple(found))
            elif (told := self._told(event)) is not None:
                yield told

    def _told(self, event: Changed[GpuPod | None]) -> PodEvent | None:
        namespace, _, name = event.name.partition("/")
        key = (namespace, name)
        if event.value is not None and (key in self._kept or len(self._kept) < MOST_PODS):
            self._kept.add(key)
            return PodSeen(event.value)
        if key in self._kept:
            self._kept.discard(key)
            return PodGone(namespace, name)
        return None


def _read(item: msgspec.Raw) -> Read[GpuPod | None]:
    pod = _POD.read(item)
    name = f"{pod.metadata.namespace}/{pod.metadata.name}" if pod.metadata.name else ""
    return Read(name, pod.metadata.resource_version, _kept(pod))


_FOLLOWED: Final = Collection[GpuPod | None](
    COLLECTION,
    _read,
    Words(
        "the pods",
        "a pod",
        "no right to list and watch pods: no gang is placed and no other pod is counted (daemonset/components/gangs)",
    ),
)


def decoded(content: bytes | msgspec.Raw) -> GpuPod | None:
    """A pod as placement sees it; None if it is of no interest.

    Raises:
        ParseError: it is no pod.
    """
    return _kept(_POD.read(content))


def _kept(pod: _Pod) -> GpuPod | None:
    gpus, labels, notes = _gpus(pod.spec), pod.metadata.labels or {}, pod.metadata.annotations or {}
    gang = labels.get(pods.GANG, "")
    if not pod.metadata.name or not (gpus or gang or pod.spec.resource_claims):
        return None
    claim, claimed = _claimed(pod.spec)
    required = pod.spec.affinity and pod.spec.affinity.node_affinity and pod.spec.affinity.node_affinity.required
    return GpuPod(
        namespace=pod.metadata.namespace,
        name=pod.metadata.name,
        uid=pod.metadata.uid,
        gpus=gpus,
        claimed=claimed,
        claim=claim,
        claim_made=next(
            (one.resource_claim_name or "" for one in pod.status.resource_claim_statuses or () if one.name == claim), ""
        ),
        lifted_for=notes.get(pods.CLAIM, ""),
        node=pod.spec.node_name,
        ended=pod.status.phase in ("Succeeded", "Failed"),
        leaving=pod.metadata.deletion_timestamp is not None,
        gates=tuple(gate.name for gate in pod.spec.scheduling_gates or ()),
        job=next((labels[name] for name in _JOBS if labels.get(name)), ""),
        gang=gang,
        size=labels.get(pods.SIZE, ""),
        group=labels.get(_GROUP, ""),
        order=_order({**notes, **labels}),
        wishes=notes.get(pods.WISHES, ""),
        rank=_number(notes.get(pods.RANK, "")),
        reservation=pods.reservation_of(pod.metadata.namespace, notes),
        status=notes.get(pods.STATUS, ""),
        priority=pod.spec.priority or 0,
        created=unix(pod.metadata.creation_timestamp),
        measured=(_measure(notes.get(pods.MEASURED_BUS, "")), _measure(notes.get(pods.MEASURED_STEP, ""))),
        terms=tuple(required.node_selector_terms or ()) if required else (),
        tolerations=tuple(pod.spec.tolerations or ()) if gang else (),
        priority_class=pod.spec.priority_class_name if gang else "",
        leaving_at=unix(pod.metadata.deletion_timestamp) if pod.metadata.deletion_timestamp is not None else inf,
        **_held(pod),
    )


def _held(pod: _Pod) -> dict[str, str]:
    """What a holder holds, and the UID of the pod that it does so for."""
    labels, claims = pod.metadata.labels or {}, pod.spec.resource_claims or ()
    owner = next((one.uid for one in pod.metadata.owner_references or () if one.controller and one.kind == "Pod"), "")
    if pods.HOLDER not in labels or pods.GANG in labels or len(claims) != 1 or not owner:
        return {}
    return {"holds": claims[0].resource_claim_name, "owner": owner}


def _gpus(spec: _Spec) -> int:
    """As kube-scheduler counts: containers that run together, or the largest of those before them."""
    beside = sum(_asked(one) for one in spec.containers or ())
    first, sidecars = 0, 0
    for one in spec.init_containers or ():
        if one.restart_policy == "Always":
            sidecars += _asked(one)
        else:
            first = max(first, sidecars + _asked(one))
    return max(beside + sidecars, first)


def _claimed(spec: _Spec) -> tuple[str, int]:
    """The claim that is to be made for it, and of how many GPUs; 0 if that can't be: there are two, or too many."""
    found = {
        one.name: _number(one.resource_claim_template_name.removeprefix(pods.TEMPLATE)) or 0
        for one in spec.resource_claims or ()
        if one.resource_claim_template_name.startswith(pods.TEMPLATE)
    }
    first = next(iter(found), "")
    can_be = len(found) == 1 and found[first] <= pods.MOST_CLAIMED
    return first, found[first] if can_be else 0


def _asked(container: _Container) -> int:
    found = container.resources.requests or {}
    return _number(str(found.get(GPU, (container.resources.limits or {}).get(GPU, 0)))) or 0


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _LARGEST_COUNT else None


def _measure(text: str) -> float | None:
    """A positive number as people write it; None of anything else."""
    try:
        found = float(text) if len(text) <= _LONGEST_MEASURE else inf
    except ValueError:
        return None
    return found if 0 < found < inf else None


def _order(said: dict[str, str]) -> tuple[int, ...]:
    inner = next((found for name in _INNER if (found := _number(said.get(name, ""))) is not None), None)
    outer = _number(said.get(_OUTER, ""))
    return tuple(found for found in (outer, inner) if found is not None)
