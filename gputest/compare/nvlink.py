"""Beside ``nvidia-smi nvlink -s`` and ``-R``: the state and the rate of each link, and where it leads."""

from collections.abc import Iterator
from typing import Final

from gputest.rows import Of, Row
from nvtopo.model.formats.address import visible
from nvtopo.model.records.facts import GpuFacts
from nvtopo.model.records.nvlinks import NvLink

STATES: Final = "nvidia-smi nvlink -s"
ENDS: Final = "nvidia-smi nvlink -R"
_GIGABYTE: Final = 1_000_000_000
#: The tool prints three decimals, or none: ``26.562 GB/s``, ``25 GB/s``.
_LAST_DECIMAL: Final = 1_000_000
_ROUNDED: Final = "nvidia-smi rounds"
_ASLEEP: Final = "nvidia-smi knows active and inactive only"
_HIDDEN: Final = "the driver hides this end, and nvidia-smi prints the address that stands for it"
_MIG: Final = "under MIG the tool describes no links"


def states(mine: tuple[GpuFacts, ...], theirs: tuple[GpuFacts, ...]) -> Iterator[Row]:
    """States and rates."""
    for gpu, said in _couples(mine, theirs):
        of, links = Of(STATES, f"GPU{gpu.index}"), {link.link: link for link in gpu.nvlinks}
        told = {link.link: link for link in said.nvlinks if link.state is not None}
        if not told:
            up = sum(1 for link in gpu.nvlinks if link.state == "active")
            yield (
                of.not_compared("links up", _MIG, up) if gpu.mig or said.mig or not up else of.differ("links up", up, 0)
            )
            continue
        for number, link in told.items():
            yield from _state(of, number, links.get(number), link)
        for number in sorted(links.keys() - told.keys()):
            up = links[number].state == "active"
            yield (of.differ if up else of.not_compared)(
                *(f"link {number}", *(("active", None) if up else ("the tool does not list it", links[number].state)))
            )
    yield from _unknown(STATES, mine, theirs)


def ends(mine: tuple[GpuFacts, ...], theirs: tuple[GpuFacts, ...]) -> Iterator[Row]:
    """Where links lead. ``theirs`` is of ``-s`` and ``-R`` together: ``-R`` alone numbers links without gaps."""
    for gpu, said in _couples(mine, theirs):
        of, links = Of(ENDS, f"GPU{gpu.index}"), {link.link: link for link in gpu.nvlinks}
        for link in said.nvlinks:
            if link.remote_address is not None:
                yield from _end(of, links.get(link.link), link)
    yield from _unknown(ENDS, mine, theirs)


def _couples(mine: tuple[GpuFacts, ...], theirs: tuple[GpuFacts, ...]) -> Iterator[tuple[GpuFacts, GpuFacts]]:
    for said in theirs:
        gpu = _counterpart(mine, said)
        if gpu is not None:
            yield gpu, said


def _counterpart(mine: tuple[GpuFacts, ...], said: GpuFacts) -> GpuFacts | None:
    return next((gpu for gpu in mine if (gpu.uuid == said.uuid if said.uuid else gpu.index == said.index)), None)


def _unknown(tool: str, mine: tuple[GpuFacts, ...], theirs: tuple[GpuFacts, ...]) -> Iterator[Row]:
    """GPUs that only one side has."""
    for said in theirs:
        if _counterpart(mine, said) is None:
            yield Of(tool, f"GPU{said.index}").not_compared("links", "nvtopo has no such GPU", None, said.uuid)
    known = {gpu.index for gpu, _ in _couples(mine, theirs)}
    for gpu in mine:
        if gpu.index not in known and gpu.nvlinks:
            yield Of(tool, f"GPU{gpu.index}").not_compared("links", "the tool says nothing of this GPU")


def _state(of: Of, number: int, mine: NvLink | None, said: NvLink) -> Iterator[Row]:
    state = mine.state if mine else None
    asleep = state in ("sleep", "traffic-disabled")
    absent = mine is None and said.state == "inactive"
    yield of.row(
        f"link {number} state",
        state,
        said.state,
        _ASLEEP if asleep else "beyond the links of this GPU" if absent else "",
    )
    if mine is not None and mine.state == said.state == "active":
        yield of.row(f"link {number} rate", mine.bytes_per_second, said.bytes_per_second, _rate_explained(mine, said))


def _rate_explained(mine: NvLink, said: NvLink) -> str:
    if mine.bytes_per_second is None or said.bytes_per_second is None:
        return ""
    step = _LAST_DECIMAL if said.bytes_per_second % _GIGABYTE else _GIGABYTE
    return _ROUNDED if abs(mine.bytes_per_second - said.bytes_per_second) * 2 <= step else ""


def _end(of: Of, mine: NvLink | None, said: NvLink) -> Iterator[Row]:
    assert said.remote_address is not None
    fact, ours = f"link {said.link} end", mine.remote_address if mine else None
    if visible(said.remote_address) is None:
        yield of.row(fact, ours, said.remote_address, "" if ours else _HIDDEN)
        return
    yield of.row(fact, ours, said.remote_address)
    if ours == said.remote_address and mine is not None:
        yield of.row(f"link {said.link} far link", mine.remote_link, said.remote_link)
