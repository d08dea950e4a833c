"""Facts in words for people: links, rates, sizes, names. All renderers use these words."""

from typing import Final

from nvtopo.model.conclusions.pcie import narrowed
from nvtopo.model.formats.cpulist import format_cpulist, parse_cpulist
from nvtopo.model.formats.printable import printable
from nvtopo.model.records.facts import PcieLink
from nvtopo.model.records.node import Gpu, Nic

_GIB: Final = 1 << 30
_GIGABIT: Final = 1_000_000_000 // 8
_GIGABYTE: Final = 1_000_000_000
#: States of an RDMA port in which it carries traffic.
_UP: Final = "ACTIVE"


def counted(count: int, noun: str) -> str:
    """``1 NIC``, ``2 NICs``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def gibibytes(size: int | None) -> str:
    """``80 GiB``; empty where it is not known."""
    return "" if size is None else f"{size / _GIB:.0f} GiB"


def gigabits(rate: int | None) -> str:
    """A port's rate in bits: ``400 Gb/s``; ``rate`` is in bytes per second."""
    return "" if not rate else f"{rate / _GIGABIT:g} Gb/s"


def gigabytes(rate: int | None) -> str:
    """A GPU link's rate in one direction: ``478 GB/s``; ``rate`` is in bytes per second."""
    return "" if not rate else f"{rate / _GIGABYTE:.3g} GB/s" if rate < _GIGABYTE else f"{rate / _GIGABYTE:.0f} GB/s"


def pcie(link: PcieLink | None, *, steady: bool) -> str:
    """``Gen5 x16``, ``Gen5 x8 of x16``; empty if nothing is known.

    ``steady`` gives the highest generation instead of the current one, which an idle GPU lowers.
    """
    if link is None:
        return ""
    generation = (link.max_generation or link.generation) if steady else (link.generation or link.max_generation)
    speed = f"Gen{generation}" if generation else ""
    if speed and link.max_generation and generation and generation < link.max_generation:
        speed += f" of Gen{link.max_generation}"
    width = f"x{link.width or link.max_width}" if link.width or link.max_width else ""
    return " ".join(part for part in (speed, width + (f" of x{link.max_width}" if narrowed(link) else "")) if part)


def nvlinks(gpu: Gpu) -> str:
    """``18 NVLinks 4.0``, ``16 of 18 NVLinks 4.0, links 3,7 inactive``; empty where it has none."""
    total = max(gpu.nvlink_count or 0, sum(bundle.count for bundle in gpu.nvlinks))
    if not total:
        return ""
    usable = sum(bundle.count for bundle in gpu.nvlinks if bundle.usable)
    versions = sorted({bundle.version for bundle in gpu.nvlinks if bundle.version})
    count = counted(total, "NVLink") if usable == total else f"{usable} of {counted(total, 'NVLink')}"
    return ", ".join([" ".join([count, *map(printable, versions)]), *unusable(gpu)])


def unusable(gpu: Gpu) -> list[str]:
    """The links that carry no traffic, by state: ``link 7 inactive``, ``links 3,8 state not known``."""
    states: dict[str, list[int]] = {}
    for bundle in gpu.nvlinks:
        if not bundle.usable:
            states.setdefault(bundle.state or "state not known", []).extend(parse_cpulist(bundle.links))
    return [
        f"link{'' if len(links) == 1 else 's'} {format_cpulist(links)} {printable(state)}"
        for state, links in sorted(states.items())
    ]


def port_words(nic: Nic) -> list[str]:
    """Each port's rate, link layer and state; without ports the netdev's speed and state."""
    if not nic.ports:
        words = " ".join(word for word in (gigabits(nic.speed_bytes_per_second), nic.operstate) if word)
        return [printable(words)] if words else []
    found = []
    for port in nic.ports:
        number = f"port {port.number}:" if len(nic.ports) > 1 else ""
        facts = (number, gigabits(port.rate_bytes_per_second), port.link_layer, port.state)
        found.append(printable(" ".join(fact for fact in facts if fact)))
    return [words for words in found if words]


def nic_is_up(nic: Nic) -> bool | None:
    """Whether a port of the NIC carries traffic; None if its state is not known."""
    states = [port.state for port in nic.ports if port.state]
    if states:
        return _UP in states
    return None if nic.ports or nic.operstate in ("", "unknown") else nic.operstate == "up"
