"""The two answers: an ``Assignment`` of every rank to its node and GPUs, or a ``NoFit`` that says why there is none."""

from collections.abc import Mapping
from typing import Literal

from nvtopo.model.records.record import Record


class Rank(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One pod of the gang."""

    rank: int
    node: str
    gpus: tuple[int, ...]
    """Indices on the node."""
    leader: bool = False


class Costs(Record, frozen=True, kw_only=True, omit_defaults=False):
    """What the placement costs, in picoseconds, each term already weighted; a term that was not computed is null."""

    total: int
    bound: int
    """No placement costs less: the same as ``total`` where this one is proven to be the cheapest. After a part of the
    gang was moved, none that leaves the others where they are."""
    all_reduce: int
    """Of all of the gang; with a pipeline, of its stages one after the other."""
    stage_sends: int | None = None
    all_to_all: int | None = None
    kv_transfer: int | None = None
    queue: int | None = None
    cache: int | None = None
    unknown: Mapping[str, str] = {}
    """Term that was asked for and is null → why it is not known. It is not in ``total``."""


class AllReduceTimes(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One all-reduce over all of the gang, in picoseconds, by algorithm (``nvtopo.placement.algorithms``)."""

    ring: int
    tree: int
    hierarchical: int | None
    """Null where the islands that NVLink joins hold different numbers of ranks."""


class Assignment(Record, frozen=True, kw_only=True, omit_defaults=False, tag="Assignment", tag_field="kind"):
    """Where the gang goes: ranks are numbered domain by domain, so that neighbours in the ring are close."""

    generation: int
    """Of the graph that it was computed from."""
    level: str
    """The closest tier inside which all of the gang is: ``node``, ``nvlinkDomain``, …, or ``fleet``."""
    domain: str
    """The ID of that domain; empty for the fleet."""
    cost: Costs
    domains: Mapping[str, int]
    """Tier → how many of its domains are used."""
    bus_bytes_per_second: int | None = None
    """What a large collective over all of the gang is expected to move: the rate of the slowest link on the way."""
    all_reduce_times: AllReduceTimes | None = None
    """The search decides by ``ring``; NCCL chooses when the job runs. Null with a pipeline."""
    gpus_enforced: bool = False
    """Whether exactly these GPUs will be given, and not only these nodes."""
    ranks: tuple[Rank, ...]


class NoFit(Record, frozen=True, kw_only=True, omit_defaults=False, tag="NoFit", tag_field="kind"):
    """Why the gang fits nowhere."""

    generation: int
    reason: str
    """In one sentence."""
    nodes: int
    """How many nodes were looked at."""
    counts: Mapping[str, int]
    """Reason → nodes; they add up to ``nodes``."""


PlacementResult = Assignment | NoFit
Kind = Literal["Assignment", "NoFit"]
