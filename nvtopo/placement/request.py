"""``Request``: what a gang asks for."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from nvtopo.errors import UsageError


class Slice(NamedTuple):
    """So many consecutive ranks have to share one domain; the last slice may be shorter."""

    pods: int
    tier: str


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
    if request.slice is not None:
        if request.slice.pods < 1:
            raise UsageError(f"request: expected slices of at least 1 pod, got {request.slice.pods}")
        if request.required and tiers.index(request.slice.tier) > tiers.index(request.required):
            raise UsageError(
                f"request: a slice's tier {request.slice.tier} is farther than the gang's {request.required}"
            )
    return request
