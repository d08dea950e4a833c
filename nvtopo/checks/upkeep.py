"""Modes of the GPUs, and what they and their NVLinks have counted as errors."""

from collections.abc import Iterator
from typing import Final

from nvtopo.checks import peers
from nvtopo.checks.check import NODE, CheckResult, Fits, Found, Machine, NodeCheck, Unknown
from nvtopo.findings.finding import Check
from nvtopo.model.formats.cpulist import format_cpulist, parse_cpulist
from nvtopo.model.records.facts import GpuFacts, GpuUpkeep, NvLinkErrors
from nvtopo.model.records.nvlinks import USABLE_STATES

#: As the alert NvtopoNvlinkBitErrors has them.
_MOST_BIT_ERRORS: Final = 1e-12
_MOST_CRC_A_SECOND: Final = 100
_CRC: Final = "crc"
#: Counted before correction: every link has them.
_NORMAL: Final = frozenset({_CRC, "effective", "symbol"})
_FAILED: Final = "recovery_failed"
_NOT_SHOWN: Final = "the input does not show it"
_NOT_ANSWERED: Final = "the driver does not answer for it"


def _gpus(machine: Machine) -> tuple[GpuFacts, ...]:
    """GPUs whose modes and counters the input shows."""
    facts = machine.snapshot.nvml if machine.snapshot is not None else None
    return () if facts is None else tuple(gpu for gpu in facts.gpus if gpu.upkeep is not None)


def _upkeeps(machine: Machine) -> Iterator[tuple[str, GpuUpkeep | None]]:
    """Each GPU, and what is shown of it."""
    shown = {gpu.index: gpu.upkeep for gpu in _gpus(machine)}
    for gpu in machine.node.gpus if shown else ():
        yield gpu.key, shown.get(gpu.index)
    if machine.node.gpus and not shown:
        yield NODE, None


def _why(one: GpuUpkeep | None, field: str) -> str:
    """Why a field of it is not known."""
    return _NOT_SHOWN if one is None else one.refused.get(field, _NOT_ANSWERED)


def _persistence(machine: Machine) -> Iterator[CheckResult]:
    """Without it the driver lets go of a GPU that nobody uses: each first use takes seconds, and settings are lost."""
    for key, one in _upkeeps(machine):
        if one is None or one.persistence is None:
            yield Unknown(key, _why(one, "persistence"))
        else:
            yield Fits() if one.persistence else Found(key, "its persistence mode is off")


def _ecc_modes(machine: Machine) -> Iterator[CheckResult]:
    products = {gpu.key: gpu.name for gpu in machine.node.gpus}
    modes: dict[str, dict[str, str]] = {}
    able = {products[key] for key, one in _upkeeps(machine) if one is not None and one.ecc is not None}
    for key, one in _upkeeps(machine):
        if one is None or "ecc" in one.refused:
            yield Unknown(key, _why(one, "ecc"))
        elif one.ecc is not None:
            modes.setdefault(products[key], {})[key] = "on" if one.ecc else "off"
            if one.ecc_pending is not None and one.ecc_pending != one.ecc:
                yield Found(key, f"ECC mode is {_on(one.ecc)}, and {_on(one.ecc_pending)} after its next reset", "info")
        elif products[key] in able:
            yield Unknown(key, _NOT_ANSWERED)
    for of_product in modes.values():
        if len(set(of_product.values())) == 1:
            yield Fits()
        elif odd := peers.odd(of_product):
            most = peers.common(of_product.values())
            for key, mode in odd.items():
                yield Found(key, f"ECC mode is {mode}, and {most} on most", expected=most)
        else:
            yield Found(NODE, f"ECC mode is {peers.counted(of_product.values())}")


def _on(mode: bool) -> str:  # noqa: FBT001 - a value, no switch
    return "on" if mode else "off"


def _ecc_errors(machine: Machine) -> Iterator[CheckResult]:
    """Of GPUs with ECC: another one counts none."""
    for key, one in _upkeeps(machine):
        if one is not None and one.ecc is not True and "ecc" not in one.refused:
            continue
        if one is None or one.uncorrected_errors is None:
            yield Unknown(key, _why(one, "uncorrectedErrors"))
        elif one.uncorrected_errors:
            yield Found(key, f"{one.uncorrected_errors} uncorrected errors of its memory since the driver was loaded")
        else:
            yield Fits()


def _link_errors(machine: Machine) -> Iterator[CheckResult]:
    linked = {gpu.key for gpu in machine.node.gpus if gpu.nvlinks or gpu.nvlinks_unknown}
    host = machine.snapshot.host if machine.snapshot is not None else None
    uptime = host.uptime_seconds if host is not None else None
    if linked and not _gpus(machine):
        yield Unknown(NODE, _NOT_SHOWN)
    for key, one in _upkeeps(machine) if linked else ():
        if key not in linked:
            continue
        if one is None or one.links is None:
            yield Unknown(key, _why(one, "links"))
            continue
        bad = [said for link in one.links if (said := _too_many(link, uptime))]
        some = [said for link in one.links if (said := _some(link))]
        if bad:
            yield Found(key, "; ".join(bad))
        if some:
            yield Found(key, f"since the driver was loaded: {'; '.join(some)}", "info")
        if "links" in one.refused:
            yield Unknown(key, one.refused["links"])
        elif not bad and not some:
            yield Fits()


def _too_many(link: NvLinkErrors, uptime: int | None) -> str:
    """What of it should not be at all; the driver has run for as long as the host at most."""
    said = []
    if (ratio := link.effective_bit_error_ratio) is not None and ratio > _MOST_BIT_ERRORS:
        said.append(f"effective bit error ratio {ratio:g}")
    if failed := link.counts.get(_FAILED):
        said.append(f"{failed} failed recoveries")
    crc = link.counts.get(_CRC, 0)
    if uptime and crc / uptime > _MOST_CRC_A_SECOND:
        said.append(f"{crc / uptime:.0f} CRC errors a second since boot")
    return f"link {link.link}: {', '.join(said)}" if said else ""


def _some(link: NvLinkErrors) -> str:
    counts = [
        f"{count} {name.replace('_', ' ')} errors"
        for name, count in sorted(link.counts.items())
        if count and name not in _NORMAL and name != _FAILED
    ]
    return f"link {link.link}: {', '.join(counts)}" if counts else ""


def _link_rates(machine: Machine) -> Iterator[CheckResult]:
    """Traffic is striped over the links of a GPU, so that the slowest sets the pace."""
    rates: dict[str, dict[str, dict[int, int | None]]] = {}
    for gpu in machine.node.gpus:
        for bundle in gpu.nvlinks:
            if bundle.state in USABLE_STATES:
                of_links = dict.fromkeys(parse_cpulist(bundle.links), bundle.bytes_per_second)
                rates.setdefault(gpu.name, {}).setdefault(gpu.key, {}).update(of_links)
    for of_product in rates.values():
        best = max((rate for links in of_product.values() for rate in links.values() if rate), default=None)
        for key, links in of_product.items():
            slow = {link: rate for link, rate in links.items() if rate and best and rate < best}
            if best is None or None in links.values():
                yield Unknown(key, "the driver does not say how fast some of its links are")
            elif slow:
                yield Found(
                    key,
                    f"links {format_cpulist(slow)} run at {min(slow.values())} bytes per second, and others at {best}",
                    expected=f"{best} bytes per second",
                )
            else:
                yield Fits()


CHECKS: Final[tuple[NodeCheck, ...]] = (
    NodeCheck(
        Check(
            "persistence-mode-off",
            "info",
            "runtime",
            "persistence mode, so that the driver stays initialised",
            "`systemctl enable --now nvidia-persistenced`, or `nvidia-smi -pm 1`.",
        ),
        "nvmlDeviceGetPersistenceMode",
        "the input is not a capture, or the driver does not answer",
        _persistence,
    ),
    NodeCheck(
        Check(
            "ecc-modes-differ",
            "warning",
            "host",
            "ECC on for all GPUs of a product, or for none",
            "Set it alike (`nvidia-smi -e 1`), then reset the GPU: memory that is not checked gives wrong results.",
        ),
        "nvmlDeviceGetEccMode",
        "the input is not a capture, or the driver does not answer",
        _ecc_modes,
    ),
    NodeCheck(
        Check(
            "gpu-ecc-errors",
            "warning",
            "host",
            "no uncorrected error of GPU memory since the driver was loaded",
            "Look for XIDs 48, 63, 64, 94 and 95 in the kernel's log; reset the GPU, and watch its counters.",
        ),
        "nvmlDeviceGetTotalEccErrors",
        "the input is not a capture, or the driver does not answer",
        _ecc_errors,
    ),
    NodeCheck(
        Check(
            "nvlink-errors",
            "warning",
            "gpu-fabric",
            f"no failed recovery, an effective bit error ratio of {_MOST_BIT_ERRORS:g} at most, and few CRC errors",
            "Compare two runs of `nvidia-smi nvlink -e`; reseat the bridge, board or cable if a link keeps counting.",
        ),
        "NVML fields 161 to 163, 206 to 214, 219 to 221",
        "the input is not a capture, or the driver has no such counter",
        _link_errors,
    ),
    NodeCheck(
        Check(
            "nvlink-slow",
            "warning",
            "gpu-fabric",
            "the rate that the other NVLinks of its product have",
            "Look at `nvidia-smi nvlink -s`, then reset the GPU: a link that has trained at a lower rate keeps it.",
        ),
        "NVML field 164",
        "the driver does not say how fast a link is",
        _link_rates,
    ),
)
