"""``Request``: what a gang asks for."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from nvtopo.errors import UsageError


class Slice(NamedTuple):
    """So many consecutive ranks have to share one domain; the last slice may be shorter."""

    pods: int
    tier: str


class Weights(NamedTuple):
    """What the terms of the cost count for."""

    all_reduce: int = 1
    """All-reduces of a forward pass: of all of the gang, or of each stage."""
    stage_sends: int = 1
    all_to_all: int = 1
    kv_transfer: int = 1
    queue_ps: int = 1_000_000_000
    """Picoseconds for each request that waits at a node that is used."""
    cache_ps: int = 1_000_000_000
    """Picoseconds for each node that is used, if its cache never hits."""


class Kv(NamedTuple):
    """What comes from the groups that prefill, as much from each."""

    bytes: int
    """That each GPU of the gang gets for one request."""
    sources: tuple[tuple[str, ...], ...]
    """The nodes of each group."""


class Load(NamedTuple):
    """What is known of a node's work; None of what is not, or no longer."""

    queue: int | None = None
    """Requests that wait."""
    misses: int | None = None
    """Of a million look-ups in its cache."""


class Work(NamedTuple):
    """What a gang sends, as far as its own GPUs are concerned."""

    ranks: int
    gpus: int
    message_bytes: int
    pipeline: int
    stage_bytes: int
    expert_bytes: int
    weights: Weights

    @property
    def tensor(self) -> int:
        """GPUs of a stage."""
        return self.ranks // self.pipeline

    @property
    def stage_pods(self) -> int:
        """Pods that a stage is made of; one also if a pod has several stages."""
        return max(1, self.tensor // self.gpus) if self.pipeline > 1 else 1


class Request(NamedTuple):
    """A gang: pods of equal size, all or none."""

    pods: int
    gpus: int = 1
    """GPUs of each pod."""
    required: str | None = None
    """All of the gang is in one domain of this tier."""
    preferred: str | None = None
    """The same if it can be; otherwise as close as can be."""
    slice: Slice | None = None
    leader_gpus: int | None = None
    """GPUs of one more pod, of rank 0, that belongs to the gang."""
    spread_tier: str | None = None
    spread_pods: int = 1
    """At most so many pods in each domain of ``spread_tier``."""
    selector: Mapping[str, str] = MappingProxyType({})
    """Labels that a node must have."""
    message_bytes: int = 2_000_000
    """Of one all-reduce."""
    tensor: int | None = None
    """GPUs that reduce together; None for all that a stage has."""
    pipeline: int = 1
    """Stages. The first ``tensor`` GPUs in the order of ranks are the first stage."""
    stage_bytes: int = 0
    """That each GPU sends to its counterpart in the next stage."""
    expert_bytes: int = 0
    """That each GPU has for all others in one all-to-all of experts; 0 if there is none."""
    kv: Kv | None = None
    load: Mapping[str, Load] | None = None
    """Node → its work; None if nobody asks for it."""
    weights: Weights = Weights()

    @property
    def work(self) -> Work:
        """What its GPUs send to each other."""
        sizes = (self.message_bytes, self.pipeline, self.stage_bytes, self.expert_bytes)
        return Work(self.ranks, self.gpus, *sizes, self.weights)

    @property
    def ranks(self) -> int:
        """Number of GPUs of all pods together: one rank each."""
        return self.pods * self.gpus + (self.leader_gpus or 0)

    def tiers(self) -> tuple[str, ...]:
        """The tiers that it names."""
        named = (self.required, self.preferred, self.slice and self.slice.tier, self.spread_tier)
        return tuple(tier for tier in named if tier is not None)


def checked(request: Request, tiers: tuple[str, ...]) -> Request:
    """The request, if some cluster could satisfy it; ``tiers`` are all there may be, closest first.

    Raises:
        UsageError: it asks for something that no cluster could give.
    """
    if request.pods < 1 or request.gpus < 1:
        raise UsageError(f"request: expected at least 1 pod of at least 1 GPU, got {request.pods} of {request.gpus}")
    for tier in request.tiers():
        if tier not in tiers:
            raise UsageError(f"request: expected a tier out of {', '.join(tiers)}; got {tier!r}")
    _parallel(request)
    if request.slice is not None:
        if request.slice.pods < 1:
            raise UsageError(f"request: expected slices of at least 1 pod, got {request.slice.pods}")
        if request.required and tiers.index(request.slice.tier) > tiers.index(request.required):
            raise UsageError(
                f"request: a slice's tier {request.slice.tier} is farther than the gang's {request.required}"
            )
    return request


def _parallel(request: Request) -> None:
    tensor = request.ranks // max(1, request.pipeline) if request.tensor is None else request.tensor
    if request.pipeline < 1 or tensor * request.pipeline != request.ranks:
        raise UsageError(
            f"request: expected tensor times pipeline GPUs, got {tensor} times {request.pipeline} for {request.ranks}"
        )
    if request.pipeline == 1:
        return
    if tensor % request.gpus and request.gpus % tensor:
        raise UsageError(f"request: expected stages of whole pods or pods of whole stages, got stages of {tensor} GPUs")
    if request.leader_gpus is not None:
        raise UsageError("request: expected no leader in a gang with a pipeline")
    if request.slice is not None and request.work.stage_pods > 1:
        raise UsageError("request: expected no slices in a gang with a pipeline: its stages are slices already")
