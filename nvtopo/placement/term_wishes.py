"""What a PlacementRequest says of the terms of its cost: parallelism, experts, KV transfer, load, weights."""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from nvtopo.model.records.record import Record
from nvtopo.placement.request import Kv, Load, Weights

Bytes = Annotated[int, Meta(ge=0, le=1 << 50)]
Factor = Annotated[int, Meta(ge=0, le=1_000_000)]
Nanoseconds = Annotated[int, Meta(ge=0, le=1_000_000_000_000)]
NodeName = Annotated[str, Meta(min_length=1, max_length=253)]
Group = Annotated[tuple[NodeName, ...], Meta(min_length=1, max_length=4096)]

_MILLION = 1_000_000


class ParallelismWish(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tensor times pipeline is the number of GPUs of the gang."""

    tensor: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    pipeline: Annotated[int, Meta(ge=1, le=4096)] = 1
    stage_bytes: Bytes = 0
    """That each GPU sends to its counterpart in the next stage."""
    expert_bytes: Bytes = 0
    """That each GPU has for all others of the gang in one all-to-all of experts."""


class KvWish(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """KV caches come from groups that prefill."""

    bytes: Bytes
    """That each GPU gets for one request."""
    sources: Annotated[tuple[Group, ...], Meta(min_length=1, max_length=1024)]
    """The nodes of each group."""


class NodeLoad(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was measured of one node."""

    age_seconds: Annotated[float, Meta(ge=0, le=1e12)]
    """How long ago."""
    queue_depth: Annotated[int, Meta(ge=0, le=1_000_000_000)] | None = None
    """Requests that wait."""
    cache_hit: Annotated[float, Meta(ge=0, le=1)] | None = None
    """The share of look-ups that its cache answers."""


class LoadWish(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What nodes have to do already. A value that is older than ``fresh_seconds`` is not known."""

    nodes: Annotated[dict[NodeName, NodeLoad], Meta(max_length=100_000)] | None = None
    """Without it, what the queries of who places say: ``--queue-depth-query``, ``--cache-hit-query``."""
    fresh_seconds: Annotated[float, Meta(gt=0, le=1e9)] = 60.0

    def known(self) -> Mapping[str, Load]:
        """Node → what is still true of what the request says."""
        return {
            node: Load(load.queue_depth, None if load.cache_hit is None else missed(load.cache_hit))
            for node, load in (self.nodes or {}).items()
            if load.age_seconds <= self.fresh_seconds
        }

    @property
    def measured_within_seconds(self) -> float | None:
        """How old a measured value may be; None if the request has values of its own."""
        return self.fresh_seconds if self.nodes is None else None


def missed(hit: float) -> int:
    """Of a million look-ups, those that a cache with this share of hits does not answer."""
    return round((1 - hit) * _MILLION)


class WeightsWish(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each term counts for."""

    all_reduce: Factor = 1
    """All-reduces of a forward pass."""
    stage_sends: Factor = 1
    all_to_all: Factor = 1
    kv_transfer: Factor = 1
    queue_nanoseconds: Nanoseconds = 1_000_000
    """Of one request that waits."""
    cache_nanoseconds: Nanoseconds = 1_000_000
    """Of a cache that never hits."""

    def weights(self) -> Weights:
        """The same as the cost takes it."""
        factors = (self.all_reduce, self.stage_sends, self.all_to_all, self.kv_transfer)
        return Weights(*factors, self.queue_nanoseconds * 1000, self.cache_nanoseconds * 1000)


def kv(wish: KvWish | None) -> Kv | None:
    """The same as the cost takes it."""
    return None if wish is None else Kv(wish.bytes, wish.sources)
