"""GPUs and what their links are, on the metrics page: state, speed and the other side of each NVLink.

Series of a GPU with L links: 4 L and four of its own.
"""

from collections.abc import Iterator
from typing import Final

from nvtopo.model import nvlink
from nvtopo.model.address import PciAddress
from nvtopo.model.facts import GpuFacts, NvLink
from nvtopo.model.node import NodeTopology
from nvtopo.model.snapshot import Snapshot
from nvtopo.sinks.metrics.series import GPU, LINK, Family, declared, facts, gauge, info, one

_HIDDEN: Final = "the driver does not say, as under MIG"

GPUS = gauge("nvtopo_gpus", "GPUs that answer.", source="NVML", absent="none does")
GPU_INFO = info(
    "nvtopo_gpu_info",
    "A GPU and its place.",
    (*GPU, "pci_bus_id", "model", "numa_node", "module_id"),
    source="NVML, and the PCI function's numa_node",
    absent="there is no GPU that answers",
)
LINK_INFO = info(
    "nvtopo_nvlink_info",
    "One NVLink and its other side, where the driver shows it.",
    (*LINK, "version", "remote_pci_bus_id", "remote_gpu", "remote_link"),
    source="nvmlDeviceGetNvLinkRemoteDeviceType, …RemotePciInfo, NVML fields 166 and 146",
    absent=_HIDDEN,
)
ACTIVE = gauge(
    "nvtopo_nvlink_active",
    "1 where the link can carry traffic; one asleep wakes up for it.",
    LINK,
    source="NVML field 165",
    absent=_HIDDEN,
)
STATE = gauge(
    "nvtopo_nvlink_state",
    "1 for the link's state: active, sleep, inactive, traffic-disabled.",
    (*LINK, "state"),
    source="NVML field 165",
    absent=_HIDDEN,
)
CAPACITY = gauge(
    "nvtopo_nvlink_capacity_bytes_per_second",
    "One direction of one link, as the driver reports it.",
    LINK,
    source="NVML field 164",
    absent="the link is down, or the driver does not say",
)
ACTIVE_LINKS = gauge(
    "nvtopo_gpu_nvlinks_active",
    "NVLinks of a GPU that can carry traffic.",
    GPU,
    source="NVML field 165 of each link",
    absent=_HIDDEN,
)
EXPECTED_LINKS = gauge(
    "nvtopo_gpu_nvlinks_expected",
    "NVLinks of a GPU that should: as many as the best GPU of its board has.",
    GPU,
    source="NVML field 91 of all GPUs",
    absent="PCIe cards: how many links a bridge takes, nobody says",
)
SERIES = declared(globals())


def families(snapshot: Snapshot, node: NodeTopology) -> Iterator[Family]:
    """The GPUs of one node and their links."""
    yield one(GPUS, len(node.gpus) or None)
    yield facts(
        GPU_INFO,
        (
            (str(gpu.index), gpu.uuid, gpu.pci_address or "", gpu.name, _text(gpu.numa_node), _text(gpu.module_id))
            for gpu in node.gpus
        ),
    )
    gpus = snapshot.nvml.gpus if snapshot.nvml else ()
    yield from _links(gpus)
    uuids = {gpu.index: gpu.uuid for gpu in node.gpus}
    usable, expected = nvlink.usable(node), nvlink.expected(node)
    for series, counts in (
        (ACTIVE_LINKS, usable),
        (EXPECTED_LINKS, {index: due for index, due in expected.items() if index in usable}),
    ):
        family = Family(series)
        for index, count in counts.items():
            family.add(count, str(index), uuids[index])
        yield family


def _links(gpus: tuple[GpuFacts, ...]) -> Iterator[Family]:
    ends, active, state, capacity = Family(LINK_INFO), Family(ACTIVE), Family(STATE), Family(CAPACITY)
    numbers = {gpu.pci_address: str(gpu.index) for gpu in gpus if gpu.pci_address}
    for gpu in gpus:
        for link in gpu.nvlinks:
            labels = (str(gpu.index), gpu.uuid, str(link.link), link.remote or "")
            ends.add(1, *labels, *_end(link, numbers))
            if link.state is not None:
                active.add(int(link.state in ("active", "sleep")), *labels)
                state.add(1, *labels, link.state)
            capacity.add(link.bytes_per_second, *labels)
    yield ends
    yield active
    yield state
    yield capacity


def _end(link: NvLink, numbers: dict[PciAddress, str]) -> tuple[str, str, str, str]:
    address = link.remote_address
    gpu = numbers.get(address, "") if address else ""
    return link.version, address or "", gpu, _text(link.remote_link)


def _text(number: int | None) -> str:
    """A label value; an unknown fact has an empty one, which to Prometheus is a label that is not there."""
    return "" if number is None else str(number)
