"""Latency and bandwidth of a step between two GPUs, by the level at which their paths meet.

Bandwidths are bytes a second, one direction, for each GPU. The defaults are for GB200 NVL72 with one 400 Gb/s NIC for
each GPU; latencies are NCCL's own constants for rings of its Simple protocol (``src/graph/tuning.cc``): 3.4 µs over
NVLink and 14 µs over a network. Each tier of switches beyond the leaf adds what its switches take, 0.5 µs each way.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from nvtopo.placement.fleet import FLEET, NODE


class Link(NamedTuple):
    """One step between two GPUs."""

    latency_ps: int
    bytes_per_second: int


NVLINK: Final = Link(latency_ps=3_400_000, bytes_per_second=900_000_000_000)
LEAF: Final = Link(latency_ps=14_000_000, bytes_per_second=50_000_000_000)

DEFAULTS: Final[Mapping[str, Link]] = MappingProxyType(
    {
        NODE: NVLINK,
        "nvlinkDomain": NVLINK,
        "rack": LEAF,
        "leaf": LEAF,
        "spine": Link(latency_ps=15_000_000, bytes_per_second=50_000_000_000),
        "core": Link(latency_ps=16_000_000, bytes_per_second=50_000_000_000),
        "zone": Link(latency_ps=100_000_000, bytes_per_second=12_500_000_000),
        FLEET: Link(latency_ps=16_000_000, bytes_per_second=50_000_000_000),
    }
)
"""Level → the link over which two of its members meet."""


def table(levels: tuple[str, ...], given: Mapping[str, Link] = MappingProxyType({})) -> tuple[Link, ...]:
    """The link of each level. ``given`` overrides the defaults: a site's own, or measured ones.

    A farther level is never better than a closer one: what would be is taken to be as good as the closer one, since
    traffic between its members passes the closer one too.
    """
    links: list[Link] = []
    for level in levels:
        link = given.get(level) or DEFAULTS.get(level, LEAF)
        if links:
            before = links[-1]
            link = Link(max(link.latency_ps, before.latency_ps), min(link.bytes_per_second, before.bytes_per_second))
        links.append(link)
    return tuple(links)
