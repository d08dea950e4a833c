"""The operating system's devices in an hwloc topology: GPUs, network and RDMA devices."""

import re
from typing import Literal, NamedTuple

from nvtopo.model.records.facts import GpuFacts, NetDevice, NetFacts, PciDevice, RdmaDevice, RdmaFacts, RdmaPort
from nvtopo.sources.foreign.given import Notes
from nvtopo.sources.foreign.xml_tree import Element

_GPU = re.compile(r"(nvml|cuda)([0-9]{1,4})")
_PORT_STATE = re.compile(r"Port([0-9]{1,3})State")
#: ``enum ibv_port_state``.
_STATES = {"1": "DOWN", "2": "INIT", "3": "ARMED", "4": "ACTIVE", "5": "ACTIVE_DEFER"}
_LONGEST = 200
Asked = Literal["nvml", "cuda"]


class Function(NamedTuple):
    """A PCI function, and the OS's devices on it."""

    device: PciDevice
    devices: tuple[Element, ...]


def infos(element: Element) -> dict[str, str]:
    """The ``<info name= value=>`` of an object."""
    return {info.get("name"): info.get("value") for info in element.all("info")}


def gpus(functions: list[Function], notes: Notes) -> tuple[list[GpuFacts], Asked]:
    """The GPUs by the driver's number, and who was asked: NVML where the plugin was there, else CUDA.

    CUDA names no more than a program may see (``CUDA_VISIBLE_DEVICES``) and its release supports.
    """
    found: dict[Asked, dict[int, GpuFacts]] = {"nvml": {}, "cuda": {}}
    for function in functions:
        for device in function.devices:
            match = _GPU.fullmatch(device.get("name"))
            if match is None:
                continue
            asked: Asked = "nvml" if match[1] == "nvml" else "cuda"
            if int(match[2]) in found[asked]:
                notes.add(match[0], "two PCI functions have this name: the first was taken")
            else:
                found[asked][int(match[2])] = _gpu(int(match[2]), function, device)
    chosen: Asked = "nvml" if found["nvml"] else "cuda"
    return [gpu for _, gpu in sorted(found[chosen].items())], chosen


def _gpu(index: int, function: Function, device: Element) -> GpuFacts:
    about = infos(device)
    return GpuFacts(
        index=index,
        uuid=about.get("NVIDIAUUID", "")[:_LONGEST],
        name=about.get("GPUModel", "")[:_LONGEST],
        pci_address=function.device.address,
    )


def net(functions: list[Function]) -> NetFacts | None:
    """Network devices: those with a hardware address. hwloc has no interface indices, so their order is used."""
    devices = [
        NetDevice(name=device.get("name")[:_LONGEST], index=index, pci_address=function.device.address)
        for function in functions
        for index, device in enumerate(function.devices)
        if "Address" in infos(device)
    ]
    return NetFacts(devices=tuple(devices)) if devices else None


def rdma(functions: list[Function]) -> RdmaFacts | None:
    """RDMA devices: those with a node GUID."""
    devices = [
        RdmaDevice(
            name=device.get("name")[:_LONGEST],
            pci_address=function.device.address,
            node_guid=about["NodeGUID"][:_LONGEST],
            ports=_ports(about),
        )
        for function in functions
        for device in function.devices
        if "NodeGUID" in (about := infos(device))
    ]
    return RdmaFacts(devices=tuple(devices)) if devices else None


def _ports(about: dict[str, str]) -> tuple[RdmaPort, ...]:
    numbers = {int(match[1]): value for name, value in about.items() if (match := _PORT_STATE.fullmatch(name))}
    return tuple(RdmaPort(number=number, state=_STATES.get(value, "")) for number, value in sorted(numbers.items()))
