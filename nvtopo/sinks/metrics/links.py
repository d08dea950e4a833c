"""GPUs and what their links are, on the metrics page: state, speed and the other side of each NVLink.

Series of a GPU with L links: 4 L and four of its own.
"""

from collections.abc import Iterator
from typing import Final

from nvtopo.model.conclusions import nvlink
from nvtopo.model.formats.address import PciAddress
from nvtopo.model.records.facts import GpuFacts
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.nvlinks import USABLE_STATES, NvLink
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sinks.metrics.series import GPU, LINK, Family, declared, facts, gauge, info, one

_HIDDEN: Final = "the driver does not report it, as in MIG mode"

GPUS = gauge("nvtopo_gpus", "Number of GPUs that answer the driver.", source="NVML", absent="no GPU answers")
GPU_INFO = info(
    "nvtopo_gpu_info",
    "Model, PCI address, NUMA node and module ID of the GPU, as labels; the value is always 1.",
    (*GPU, "pci_bus_id", "model", "numa_node", "module_id"),
    source="NVML, and the PCI function's numa_node",
    absent="no GPU answers",
)
LINK_INFO = info(
    "nvtopo_nvlink_info",
    "Version of one NVLink, and the PCI address, GPU and link at its other end, as labels; the value is always 1.",
    (*LINK, "version", "remote_pci_bus_id", "remote_gpu", "remote_link"),
    source="nvmlDeviceGetNvLinkRemoteDeviceType, …RemotePciInfo, NVML fields 166 and 146",
    absent=_HIDDEN,
)
ACTIVE = gauge(
    "nvtopo_nvlink_active",
    "1 if the NVLink can carry traffic, 0 if not. A sleeping link counts as active: traffic wakes it.",
    LINK,
    source="NVML field 165",
    absent=_HIDDEN,
)
STATE = gauge(
    "nvtopo_nvlink_state",
    "1 for the state that the NVLink is in: active, sleep, inactive or traffic-disabled.",
    (*LINK, "state"),
    source="NVML field 165",
    absent=_HIDDEN,
)
CAPACITY = gauge(
    "nvtopo_nvlink_capacity_bytes_per_second",
    "Capacity of one NVLink in one direction, in bytes per second, as the driver reports it.",
    LINK,
    source="NVML field 164",
    absent="the link is down, or the driver does not report its speed",
)
ACTIVE_LINKS = gauge(
    "nvtopo_gpu_nvlinks_active",
    "Number of the GPU's NVLinks that can carry traffic.",
    GPU,
    source="NVML field 165 of each link",
    absent=_HIDDEN,
)
EXPECTED_LINKS = gauge(
    "nvtopo_gpu_nvlinks_expected",
    "Number of the GPU's NVLinks that should carry traffic: as many as the best GPU of its product has.",
    GPU,
    source="NVML field 91 of all GPUs",
    absent="the GPU is a PCIe card, for which no source says how many links its bridge connects",
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
                active.add(int(link.state in USABLE_STATES), *labels)
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
