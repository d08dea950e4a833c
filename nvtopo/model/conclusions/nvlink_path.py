"""The NVLink path between two GPUs of one node: its links and their rate."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from nvtopo.model.formats import cpulist
from nvtopo.model.formats.address import PciAddress
from nvtopo.model.records.node import Gpu
from nvtopo.model.records.nvlinks import NvLinkBundle

#: Version → bytes per second of one link in one direction, where the driver reports no speed.
#: Nominal rates of each generation; vendors print both directions of all links.
NOMINAL_BYTES_PER_SECOND = {
    "1.0": 20_000_000_000,
    "2.0": 25_000_000_000,
    "2.2": 25_000_000_000,
    "3.0": 25_000_000_000,
    "3.1": 25_000_000_000,
    "4.0": 25_000_000_000,
    "5.0": 50_000_000_000,
    "6.0": 50_000_000_000,
}

RateSource = Literal["driver", "table"]
"""``driver``: the driver reports the links' rate. ``table``: the nominal rate of the link's generation."""


class Path(NamedTuple):
    """A usable NVLink path between two GPUs."""

    links: int
    """``NV<links>`` in nvidia-smi's matrix: the lesser of both sides."""
    bytes_per_second: int | None
    """One direction, all links together."""
    source: RateSource | None
    """``driver`` where the rate is the driver's, ``table`` where it is the generation's nominal one."""


#: All that a path through switches depends on: each bundle's version, rate and number of links.
Links = tuple[tuple[str | None, int | None, int], ...]


class Side(NamedTuple):
    """Where the usable links of one GPU end."""

    address: PciAddress | None
    ends: Mapping[PciAddress | None, list[tuple[NvLinkBundle, int]]]
    """By address, the links to another device: a bridge, or a mesh without switches."""
    switches: list[tuple[NvLinkBundle, int]]
    like: Links
    """The links to switches, as far as they matter."""


def side(gpu: Gpu) -> Side:
    """Where its links end."""
    ends: dict[PciAddress | None, list[tuple[NvLinkBundle, int]]] = {}
    for bundle in gpu.nvlinks:
        for address, links in bundle.peers.items() if bundle.usable else ():
            if links:
                ends.setdefault(address, []).append((bundle, cpulist.count(links)))
    switches = _to_switches(gpu)
    like = tuple((bundle.version, bundle.bytes_per_second, links) for bundle, links in switches)
    return Side(gpu.pci_address, ends, switches, like)


def path(one: Side, other: Side) -> Path | None:
    """The path between two GPUs; None if their links make none."""
    for mine, theirs in (
        (one.ends.get(other.address, ()), other.ends.get(one.address, ())),
        (one.switches, other.switches),
    ):
        links = min(sum(count for _, count in mine), sum(count for _, count in theirs))
        if links:
            rate, source = _rate([bundle for bundle, _ in (*mine, *theirs)])
            return Path(links, None if rate is None else rate * links, source)
    return None


def known(one: Side, other: Side, through: dict[tuple[Links, Links], Path | None]) -> Path | None:
    """The path; of two GPUs with links to switches alone, all with links like theirs have the same."""
    if one.ends or other.ends:
        return path(one, other)
    key = (one.like, other.like)
    if key not in through:
        through[key] = path(one, other)
    return through[key]


def _to_switches(gpu: Gpu) -> list[tuple[NvLinkBundle, int]]:
    """Usable links that end at an NVSwitch, by bundle, if its fabric is ready to route."""
    if gpu.fabric is not None and gpu.fabric.state in ("not-started", "in-progress"):
        return []
    return [(bundle, bundle.count) for bundle in gpu.nvlinks if bundle.usable and bundle.remote == "switch"]


def _rate(usable: list[NvLinkBundle]) -> tuple[int | None, RateSource | None]:
    """The slowest of these links: its rate, and who says so."""
    reported = [bundle.bytes_per_second for bundle in usable if bundle.bytes_per_second]
    if reported:
        return min(reported), "driver"
    nominal = [rate for bundle in usable if (rate := NOMINAL_BYTES_PER_SECOND.get(bundle.version)) is not None]
    return (min(nominal), "table") if nominal else (None, None)
