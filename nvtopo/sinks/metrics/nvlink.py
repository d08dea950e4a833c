"""NVLink on the metrics page, link by link and summed by GPU and by group, and C2C; all from the sampler.

Series of a GPU with L links: 2 L bytes, 4 L utilisation, up to 9 L errors, 2 L recoveries and 2 L bit error ratios, and
two sums; a group has two, a C2C link four. 8 GPUs of 18 links have at most 2,754, bounded by what is soldered in.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from nvtopo.model.samples.gpu_counters import Counters, GpuTraffic, Rates, Statistics, shares, total
from nvtopo.sinks.metrics.series import GPU, LINK, Family, counter, declared, gauge

_SILENT: Final = "the driver has no such counter for this link, or there is no fresh sample"
_ONE_SILENT: Final = "one of the links has no counter: a sum without it would look like a counter reset"

SENT = counter(
    "nvtopo_nvlink_transmitted_bytes_total",
    "Bytes that the GPU sent over this NVLink.",
    LINK,
    source="NVML fields 202, 138 or 140: the first that the GPU answers",
    absent=_SILENT,
)
RECEIVED = counter(
    "nvtopo_nvlink_received_bytes_total",
    "Bytes that the GPU received over this NVLink.",
    LINK,
    source="NVML fields 204, 139 or 141: the first that the GPU answers",
    absent=_SILENT,
)
SEND_SHARE = gauge(
    "nvtopo_nvlink_transmit_utilisation_ratio",
    "Send rate of one NVLink divided by its capacity (0 to 1), mean and peak since the last scrape or 15 s, "
    "whichever is longer.",
    (*LINK, "statistic"),
    source="the sampler's rates, NVML field 164",
    absent="there are fewer than two samples, the link is down, or its capacity is not known",
)
RECEIVE_SHARE = gauge(
    "nvtopo_nvlink_receive_utilisation_ratio",
    "Receive rate of one NVLink divided by its capacity (0 to 1), mean and peak since the last scrape or 15 "
    "s, whichever is longer.",
    (*LINK, "statistic"),
    source="the sampler's rates, NVML field 164",
    absent="there are fewer than two samples, the link is down, or its capacity is not known",
)
ERRORS = counter(
    "nvtopo_nvlink_errors_total",
    "Number of errors on one NVLink, by kind.",
    (*LINK, "kind"),
    source="NVML fields 161-163 (Hopper and older), or 206-212, 219 and 221",
    absent=_SILENT,
)
RECOVERIES = counter(
    "nvtopo_nvlink_recoveries_total",
    "Number of times that one NVLink was retrained, by result: successful or failed.",
    (*LINK, "result"),
    source="NVML fields 213 and 214",
    absent="the GPU is older than Blackwell, or there is no fresh sample",
)
BIT_ERROR_RATIO = gauge(
    "nvtopo_nvlink_bit_error_ratio",
    "Errored bits divided by all bits on one NVLink, before (symbol) and after (effective) error correction.",
    (*LINK, "kind"),
    source="NVML fields 222 and 220",
    absent="the GPU is older than Blackwell, or there is no fresh sample",
)
GPU_SENT = counter(
    "nvtopo_gpu_nvlink_transmitted_bytes_total",
    "Bytes that the GPU sent over all of its NVLinks.",
    GPU,
    source="the sum over its links",
    absent=_ONE_SILENT,
)
GPU_RECEIVED = counter(
    "nvtopo_gpu_nvlink_received_bytes_total",
    "Bytes that the GPU received over all of its NVLinks.",
    GPU,
    source="the sum over its links",
    absent=_ONE_SILENT,
)
GROUP_SENT = counter(
    "nvtopo_nvlink_group_transmitted_bytes_total",
    "Bytes that the GPUs of an NVLink group sent over all of their NVLinks.",
    ("group",),
    source="the sum over its GPUs",
    absent=_ONE_SILENT,
)
GROUP_RECEIVED = counter(
    "nvtopo_nvlink_group_received_bytes_total",
    "Bytes that the GPUs of an NVLink group received over all of their NVLinks.",
    ("group",),
    source="the sum over its GPUs",
    absent=_ONE_SILENT,
)
C2C_ACTIVE = gauge(
    "nvtopo_c2c_link_active",
    "1 if this C2C link between GPU and CPU is up, 0 if not.",
    (*GPU, "link"),
    source="NVML field 171",
    absent="the GPU has no C2C links, or there is no fresh sample",
)
C2C_ERRORS = counter(
    "nvtopo_c2c_errors_total",
    "Number of errors on one C2C link between GPU and CPU, by kind.",
    (*GPU, "link", "kind"),
    source="NVML fields 231-233",
    absent="the GPU has no C2C links, or its driver is older than 575",
)
SERIES = declared(globals())

Remotes = Mapping[tuple[str, int], str]
"""(GPU UUID, link) → what is at the link's other end."""


class LinkContext(NamedTuple):
    """Facts of the latest observation that samples lack."""

    remotes: Remotes = {}
    groups: tuple[tuple[int, ...], ...] = ()
    """GPU indices that NVLink connects."""


def families(gpus: Sequence[GpuTraffic], place: LinkContext) -> Iterator[Family]:
    """The families of these GPUs."""
    yield from _bytes(gpus, place.remotes)
    yield from _utilisation(gpus, place.remotes)
    yield from _errors(gpus, place.remotes)
    yield from _sums(gpus, place.groups)
    yield from _c2c(gpus)


def _bytes(gpus: Sequence[GpuTraffic], remotes: Remotes) -> Iterator[Family]:
    sent, received = Family(SENT), Family(RECEIVED)
    for gpu in gpus:
        _add_links(sent, gpu, gpu.sample.sent, remotes)
        _add_links(received, gpu, gpu.sample.received, remotes)
    yield sent
    yield received


def _utilisation(gpus: Sequence[GpuTraffic], remotes: Remotes) -> Iterator[Family]:
    sent, received = Family(SEND_SHARE), Family(RECEIVE_SHARE)
    for gpu in gpus:
        _add_shares(sent, gpu, gpu.sent, remotes)
        _add_shares(received, gpu, gpu.received, remotes)
    yield sent
    yield received


def _add_shares(family: Family, gpu: GpuTraffic, statistics: Statistics, remotes: Remotes) -> None:
    for name, rates in (("mean", statistics.mean), ("peak", statistics.peak)):
        _add_links(family, gpu, tuple(shares(rates, gpu.health.capacities)), remotes, name)


def _errors(gpus: Sequence[GpuTraffic], remotes: Remotes) -> Iterator[Family]:
    errors, recoveries, ratios = Family(ERRORS), Family(RECOVERIES), Family(BIT_ERROR_RATIO)
    for gpu in gpus:
        for kind, errors_of_links in gpu.health.errors.items():
            _add_links(errors, gpu, errors_of_links, remotes, kind)
        for result, recoveries_of_links in gpu.health.recoveries.items():
            _add_links(recoveries, gpu, recoveries_of_links, remotes, result)
        for kind, ratios_of_links in gpu.health.bit_error_ratios.items():
            _add_links(ratios, gpu, ratios_of_links, remotes, kind)
    yield errors
    yield recoveries
    yield ratios


def _add_links(family: Family, gpu: GpuTraffic, values: Counters | Rates, remotes: Remotes, *more: str) -> None:
    index, uuid = str(gpu.sample.index), gpu.sample.uuid
    for link, value in enumerate(values):
        if value is not None:
            family.add(value, index, uuid, str(link), remotes.get((uuid, link), ""), *more)


def _sums(gpus: Sequence[GpuTraffic], groups: tuple[tuple[int, ...], ...]) -> Iterator[Family]:
    of_gpu = {gpu.sample.index: (total(gpu.sample.sent), total(gpu.sample.received)) for gpu in gpus}
    for direction, gpu_series, group_series in ((0, GPU_SENT, GROUP_SENT), (1, GPU_RECEIVED, GROUP_RECEIVED)):
        by_gpu, by_group = Family(gpu_series), Family(group_series)
        for gpu in gpus:
            by_gpu.add(of_gpu[gpu.sample.index][direction], str(gpu.sample.index), gpu.sample.uuid)
        for number, members in enumerate(groups):
            sums = tuple(of_gpu[index][direction] if index in of_gpu else None for index in members)
            by_group.add(total(sums), f"G{number}")
        yield by_gpu
        yield by_group


def _c2c(gpus: Sequence[GpuTraffic]) -> Iterator[Family]:
    active, errors = Family(C2C_ACTIVE), Family(C2C_ERRORS)
    for gpu in gpus:
        labels = (str(gpu.sample.index), gpu.sample.uuid)
        for link, up in enumerate(gpu.health.c2c_active):
            active.add(up, *labels, str(link))
        for kind, counts in gpu.health.c2c_errors.items():
            for link, count in enumerate(counts):
                errors.add(count, *labels, str(link), kind)
    yield active
    yield errors
