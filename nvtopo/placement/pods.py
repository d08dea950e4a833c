"""Pods that ask for GPUs, as far as placement looks at them, and what is counted of them."""

from collections.abc import Iterable, Mapping
from math import inf
from typing import Annotated, Any, Final, NamedTuple

from msgspec import Meta

from nvtopo.model.records.record import Name, Record

GATE: Final = "nvtopo.io/placement"
"""The scheduling gate that keeps a pod from kube-scheduler until its gang is placed."""
GANG: Final = "nvtopo.io/gang"
SIZE: Final = "nvtopo.io/gang-size"
WISHES: Final = "nvtopo.io/placement"
RANK: Final = "nvtopo.io/rank"
GPUS: Final = "nvtopo.io/gpus"
NICS: Final = "nvtopo.io/nics"
RESERVATION: Final = "nvtopo.io/reservation"
PREFIX: Final = "gang:"
"""IDs of reservations that are gangs' begin so; no caller of the API can give such an ID."""
STATUS: Final = "nvtopo.io/placement-status"
CLAIM: Final = "nvtopo.io/claim"
"""The ResourceClaim for which a pod's gate was lifted, where the gang's barrier holds it until all have their GPUs."""
HOLDER: Final = "nvtopo.io/gang-holder"
"""The label of a pod of ours that holds a claim of a gang until the gang's pod has taken it over."""
TEMPLATE: Final = "nvtopo-gpus-"
"""With a number the name of a claim template that does not exist: the claim of so many GPUs is made for each pod."""
MOST_CLAIMED: Final = 31
"""GPUs of one claim: Kubernetes gives 32 devices to one, and the gang's barrier is one of them."""
MEASURED_BUS: Final = "nvtopo.io/measured-bus-bandwidth"
"""Bytes per second of a large collective over the gang, as the job measured it."""
MEASURED_STEP: Final = "nvtopo.io/measured-step-seconds"


class Toleration(Record, frozen=True, kw_only=True):
    """Which taints a pod does not mind."""

    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""


class GpuPod(Record, frozen=True, kw_only=True):
    """One pod."""

    namespace: Name
    name: Name
    uid: Name
    gpus: Annotated[int, Meta(ge=0)]
    """Of a device plugin (``nvidia.com/gpu``)."""
    claimed: Annotated[int, Meta(ge=0)] = 0
    """GPUs that it asks for by a claim which is made once it has its place."""
    claim: Name = ""
    """The name of that claim in the pod; empty if it has none."""
    claim_made: Name = ""
    """The ResourceClaim that Kubernetes took for it."""
    lifted_for: Name = ""
    """The ResourceClaim for which its gate was lifted; empty where no barrier holds it."""
    node: Name = ""
    """Where it is bound; empty before."""
    ended: bool = False
    """It holds nothing any more."""
    leaving: bool = False
    """It is being deleted."""
    gates: tuple[Name, ...] = ()
    job: Name = ""
    """What made it, by the labels of the usual controllers; empty if none says so."""
    gang: Name = ""
    size: Name = ""
    """Of its gang, as it says."""
    group: Name = ""
    """What tells gangs of one label apart: the group of a LeaderWorkerSet."""
    order: tuple[int, ...] = ()
    """Its place among the pods of its owner, outermost first; empty if it has none."""
    wishes: str = ""
    rank: int | None = None
    reservation: Name = ""
    status: str = ""
    """What was said of it last."""
    priority: int = 0
    created: float = 0.0
    measured: tuple[float | None, float | None] = (None, None)
    """What its job measured: bus bandwidth in bytes per second, and seconds of a step."""
    terms: tuple[dict[str, Any], ...] = ()
    """What its required node affinity asks for, as it stands."""
    tolerations: tuple[Toleration, ...] = ()
    priority_class: Name = ""
    holds: Name = ""
    """The claim that it holds for another pod; empty if it is no holder."""
    owner: Name = ""
    """The UID of that pod."""
    leaving_at: float = inf
    """When it is to be gone, if it is being deleted."""

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name

    @property
    def asks(self) -> int:
        """GPUs, however it asks for them."""
        return self.gpus + self.claimed

    @property
    def gated(self) -> bool:
        """Whether it waits for us."""
        return GATE in self.gates and not self.ended and not self.leaving

    @property
    def waiting(self) -> bool:
        """Whether it has no node yet and can still be placed elsewhere: it is gated, or held by the barrier."""
        held = bool(self.lifted_for) and not self.node and not self.ended and not self.leaving
        return self.gated or held


class PodsListed(NamedTuple):
    """All pods: replaces everything known before."""

    pods: tuple[GpuPod, ...]


class PodSeen(NamedTuple):
    """A pod was added or changed."""

    pod: GpuPod


class PodGone(NamedTuple):
    """A pod is no longer there, or no longer of interest."""

    namespace: str
    name: str


PodEvent = PodsListed | PodSeen | PodGone


class Bound:
    """The pods that are bound to a node and have not ended, at most so many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pods: dict[tuple[str, str], GpuPod] = {}

    def fold(self, event: PodEvent) -> None:
        """Apply one event to the pods."""
        match event:
            case PodsListed(pods):
                self._pods.clear()
                for pod in pods:
                    self._put(pod)
            case PodSeen(pod):
                self._pods.pop(pod.key, None)
                self._put(pod)
            case PodGone(namespace, name):
                self._pods.pop((namespace, name), None)

    def pods(self) -> tuple[GpuPod, ...]:
        """The pods, in no order."""
        return tuple(self._pods.values())

    def _put(self, pod: GpuPod) -> None:
        if pod.node and not pod.ended and not pod.holds and len(self._pods) < self._most:
            self._pods[pod.key] = pod


class InUse:
    """How many GPUs the pods of each node have, by the reservation that they say they are for."""

    def __init__(self) -> None:
        self._pods: dict[tuple[str, str], GpuPod] = {}
        self._nodes: dict[str, dict[str, int]] = {}
        self._taken: Mapping[str, Mapping[str, int]] | None = None

    def fold(self, event: PodEvent) -> bool:
        """What happened; whether a GPU became free by it."""
        self._taken = None
        match event:
            case PodsListed(pods):
                self._pods.clear()
                self._nodes.clear()
                for pod in pods:
                    self._add(pod)
                return True
            case PodSeen(pod):
                freed = self._remove(pod.key)
                self._add(pod)
                return freed and pod.key not in self._pods
            case PodGone(namespace, name):
                return self._remove((namespace, name))

    def counted(self) -> Mapping[str, Mapping[str, int]]:
        """Node → reservation, or "" → GPUs; the same object as long as nothing changed."""
        if self._taken is None:
            self._taken = {node: dict(found) for node, found in self._nodes.items()}
        return self._taken

    def _add(self, pod: GpuPod) -> None:
        if pod.node and pod.gpus and not pod.ended:
            self._pods[pod.key] = pod
            self._count(pod, pod.gpus)

    def _remove(self, key: tuple[str, str]) -> bool:
        pod = self._pods.pop(key, None)
        if pod is None:
            return False
        self._count(pod, -pod.gpus)
        return True

    def _count(self, pod: GpuPod, gpus: int) -> None:
        found = self._nodes.setdefault(pod.node, {})
        found[pod.reservation] = found.get(pod.reservation, 0) + gpus
        if not found[pod.reservation]:
            del found[pod.reservation]
        if not found:
            del self._nodes[pod.node]


def reservation_of(namespace: str, notes: Mapping[str, str]) -> str:
    """The reservation that a pod says it is for; that of a gang is for pods of its namespace alone."""
    said = notes.get(RESERVATION, "")
    return "" if said.startswith(PREFIX) and not said.startswith(f"{PREFIX}{namespace}/") else said


def in_order(pods: Iterable[GpuPod]) -> list[GpuPod]:
    """As their owner numbers them; those without a number by name, ``worker-2`` before ``worker-10``."""
    return sorted(pods, key=lambda pod: (not pod.order, pod.order, _natural(pod.name)))


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    parts = name.replace("-", ".").split(".")
    return tuple((1, int(part), "") if part.isascii() and part.isdecimal() else (0, 0, part) for part in parts)
