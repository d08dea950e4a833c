"""``PlacementRequest`` as people write it, in YAML or JSON, and as ``Request``."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal, NamedTuple

from msgspec import Meta

from nvtopo.errors import ParseError
from nvtopo.model.records.record import Record
from nvtopo.placement.links import Link
from nvtopo.placement.request import Load, Request, Slice
from nvtopo.placement.term_wishes import KvWish, LoadWish, ParallelismWish, WeightsWish, kv
from nvtopo.wire import yaml
from nvtopo.wire.documents import Json

API_VERSION: Final = "nvtopo.io/v1alpha1"
KIND: Final = "PlacementRequest"
_EXPECTED: Final = f"a {KIND} ({API_VERSION}) in YAML or JSON"

Pods = Annotated[int, Meta(ge=1, le=100_000)]
Gpus = Annotated[int, Meta(ge=1, le=64)]
Tier = Literal["node", "nvlinkDomain", "rack", "leaf", "spine", "core", "zone"]
Affinity = Literal["same-node", "same-nvlink-domain", "same-rack", "same-leaf", "same-spine", "same-core", "same-zone"]
AntiAffinity = Literal[
    "spread-across-nodes", "spread-across-racks", "spread-across-leaves", "spread-across-spines", "spread-across-zones"
]

AFFINITY: Final[Mapping[str, Tier]] = MappingProxyType(
    {
        "same-node": "node",
        "same-nvlink-domain": "nvlinkDomain",
        "same-rack": "rack",
        "same-leaf": "leaf",
        "same-spine": "spine",
        "same-core": "core",
        "same-zone": "zone",
    }
)
ANTI_AFFINITY: Final[Mapping[str, Tier]] = MappingProxyType(
    {
        "spread-across-nodes": "node",
        "spread-across-racks": "rack",
        "spread-across-leaves": "leaf",
        "spread-across-spines": "spine",
        "spread-across-zones": "zone",
    }
)


class SliceWish(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many consecutive ranks share one domain of a tier; the last slice may be shorter."""

    pods: Pods
    tier: Tier


class LeaderWish(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One more pod, of rank 0."""

    gpus: Gpus


class SpreadWish(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most so many pods in each domain of a tier."""

    tier: Tier
    max_pods: Pods = 1


class LinkWish(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a link of a tier really gives: one direction, for each GPU."""

    latency_nanoseconds: Annotated[float, Meta(ge=0, le=1e9)]
    gigabytes_per_second: Annotated[float, Meta(gt=0, le=1e6)]


class Wishes(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``spec`` of a PlacementRequest."""

    pods: Pods
    gpus_per_pod: Gpus = 1
    leader: LeaderWish | None = None
    required: Tier | None = None
    preferred: Tier | None = None
    affinity: Affinity | None = None
    """A word for ``required``."""
    anti_affinity: AntiAffinity | None = None
    """A word for ``spread`` with one pod in each domain."""
    slice: SliceWish | None = None
    spread: SpreadWish | None = None
    node_selector: dict[str, str] = {}
    allow_degraded: bool = False
    message_bytes: Annotated[int, Meta(ge=1, le=1 << 50)] = 2_000_000
    """Of one all-reduce."""
    links: dict[Tier, LinkWish] = {}
    """Measured figures, instead of the defaults."""
    parallelism: ParallelismWish = ParallelismWish()
    kv_transfer: KvWish | None = None
    load: LoadWish | None = None
    weights: WeightsWish = WeightsWish()


class Metadata(Record, frozen=True, kw_only=True):
    """Of the object; what else Kubernetes keeps there is not looked at."""

    name: str = ""


class PlacementRequest(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for a placement, written in YAML or JSON."""

    api_version: Literal["nvtopo.io/v1alpha1"] = "nvtopo.io/v1alpha1"
    kind: Literal["PlacementRequest"] = "PlacementRequest"
    metadata: Metadata = Metadata()
    spec: Wishes


class Parsed(NamedTuple):
    """What a document asks for."""

    name: str
    request: Request
    links: Mapping[str, Link]
    allow_degraded: bool
    measured_load_seconds: float | None = None
    """How old the measured load that it asks for may be; None if it asks for none."""

    def with_load(self, load: Callable[[float], Mapping[str, Load]]) -> Request:
        """The request with the measured load, if it asks for that: ``load`` takes the greatest age in seconds."""
        if self.measured_load_seconds is None:
            return self.request
        return self.request._replace(load=load(self.measured_load_seconds))


def parse(content: bytes, source: str) -> Parsed:
    """The request in a document.

    Raises:
        ParseError: it is none, or asks for two things at once.
    """
    if content.lstrip()[:1] == b"{":
        found = Json(PlacementRequest, _EXPECTED, most_bytes=yaml.MOST_BYTES).read(content, source)
    else:
        found = yaml.read(content, PlacementRequest, _EXPECTED, source)
    wishes = found.spec
    near = None if wishes.affinity is None else AFFINITY[wishes.affinity]
    required = _one(source, "required", wishes.required, "affinity", near)
    apart = SpreadWish(tier=ANTI_AFFINITY[wishes.anti_affinity]) if wishes.anti_affinity else None
    if wishes.spread and apart:
        raise ParseError(f"{source}: expected one of spec.spread and spec.antiAffinity, got both")
    spread = wishes.spread or apart
    request = Request(
        pods=wishes.pods,
        gpus=wishes.gpus_per_pod,
        required=required,
        preferred=wishes.preferred,
        slice=None if wishes.slice is None else Slice(wishes.slice.pods, wishes.slice.tier),
        leader_gpus=None if wishes.leader is None else wishes.leader.gpus,
        spread_tier=None if spread is None else spread.tier,
        spread_pods=1 if spread is None else spread.max_pods,
        selector=wishes.node_selector,
        message_bytes=wishes.message_bytes,
        tensor=wishes.parallelism.tensor,
        pipeline=wishes.parallelism.pipeline,
        stage_bytes=wishes.parallelism.stage_bytes,
        expert_bytes=wishes.parallelism.expert_bytes,
        kv=kv(wishes.kv_transfer),
        load=None if wishes.load is None else wishes.load.known(),
        weights=wishes.weights.weights(),
    )
    age = None if wishes.load is None else wishes.load.measured_within_seconds
    return Parsed(found.metadata.name, request, _links(wishes.links), wishes.allow_degraded, age)


def links_in(content: bytes, source: str) -> Mapping[str, Link]:
    """Links alone, as ``nvtopo predicted --format links`` writes them.

    Raises:
        ParseError: it is none.
    """
    return _links(yaml.read(content, dict[Tier, LinkWish], "links by tier in YAML or JSON", source))


def _links(wishes: Mapping[Tier, LinkWish]) -> Mapping[str, Link]:
    return {
        tier: Link(int(link.latency_nanoseconds * 1000), max(1, int(link.gigabytes_per_second * 1e9)))
        for tier, link in wishes.items()
    }


def _one(source: str, field: str, value: Tier | None, word: str, also: Tier | None) -> Tier | None:
    if value and also and value != also:
        raise ParseError(f"{source}: spec.{field} is {value} and spec.{word} means {also}; expected one of them")
    return value or also
