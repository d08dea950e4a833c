"""The worker that reads NVML; its argument is the library, and ``upkeep`` after it asks for that as well.

It prints one JSON object ``{"facts": …, "problems": […]}`` and ends.

It imports pynvml and the standard library only, since its start is part of every dump. A call that the driver or the
hardware does not support is absent; one that should answer and does not is a problem; a GPU that is lost is left out
with a problem, and the others are read all the same.
"""

import ctypes
import sys
from functools import wraps
from typing import Any

from nvtopo.sources.nvml.asker import Asker, Json, Lost, preload, present, say, sysfs_address
from nvtopo.sources.nvml.binding import pynvml
from nvtopo.sources.nvml.fabric import fabric, platform
from nvtopo.sources.nvml.links import links

#: NVML's errors of a driver that is not ready → what an operator should do.
_NOT_READY = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "the library was loaded, but is not libnvidia-ml.so.1",
    pynvml.NVML_ERROR_NO_PERMISSION: "no permission for /dev/nvidiactl: run as root, or with the devices mapped in",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: (
        "kernel module not loaded yet: `modprobe nvidia`, or wait for the driver container"
    ),
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
        "driver/library version mismatch: the driver was upgraded underneath; drain the node and reload it, or reboot"
    ),
}
_LEVELS = {0: "INTERNAL", 10: "PIX", 20: "PXB", 30: "PHB", 40: "NODE", 50: "SYS"}
_MIG = {pynvml.NVML_DEVICE_MIG_DISABLE: False, pynvml.NVML_DEVICE_MIG_ENABLE: True}
_P2P_UNKNOWN = "U"
_P2P = {0: "OK", 1: "CNS", 2: "GNS", 3: "TNS", 4: "DR", 5: "NS"}


def main() -> None:
    """Ask, print, end."""
    problems: list[Json] = []
    preload(sys.argv[1])
    say({"facts": _facts(problems, whole=sys.argv[2:] == ["upkeep"]), "problems": problems})


def _facts(problems: list[Json], *, whole: bool) -> Json | None:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        Asker("driver", problems).problem(_NOT_READY.get(error.value, f"nvmlInit: {error}"))
        return None
    asker = Asker("driver", problems)
    count = _count(asker)
    if count is None:
        return None
    handles, lost = _handles(count, problems)
    found = [gpu for index, handle in handles if (gpu := _gpu(index, handle, problems, whole=whole)) is not None]
    gpus = _distinct(found, problems)
    answered = {gpu["index"] for gpu in gpus}
    return present(
        {
            "driverVersion": asker.ask(pynvml.nvmlSystemGetDriverVersion),
            "nvmlVersion": asker.ask(pynvml.nvmlSystemGetNVMLVersion),
            "cudaVersion": _cuda_version(asker.ask(pynvml.nvmlSystemGetCudaDriverVersion_v2)),
            "gpus": gpus,
            "pairs": _pairs([item for item in handles if item[0] in answered], problems),
            "lost": lost + len(handles) - len(gpus),
        }
    )


def _distinct(found: list[Json], problems: list[Json]) -> list[Json]:
    """The GPUs without those that state the UUID or the address of one before them: nobody could tell them apart."""
    kept: list[Json] = []
    for gpu in found:
        for name in ("uuid", "pciBusID"):
            other = next((one for one in kept if name in gpu and one.get(name) == gpu[name]), None)
            if other is not None:
                Asker(f"GPU{gpu['index']}", problems).problem(f"has the {name} of GPU{other['index']}: {gpu[name]}")
                break
        else:
            kept.append(gpu)
    return kept


def _cuda_version(number: int | None) -> str | None:
    """``13.0`` from 13000."""
    return None if number is None else f"{number // 1000}.{number % 1000 // 10}"


def _count(asker: Asker) -> int | None:
    """How many GPUs the driver has; None, with a problem, if it does not tell: then nothing can be said of any."""
    try:
        return int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError as error:
        asker.problem(f"nvmlDeviceGetCount: {error}")
        return None


def _handles(count: int, problems: list[Json]) -> tuple[list[tuple[int, Any]], int]:
    """Handle of each GPU that opens, and how many do not."""
    handles: list[tuple[int, Any]] = []
    lost = 0
    for index in range(count):
        try:
            handles.append((index, pynvml.nvmlDeviceGetHandleByIndex(index)))
        except pynvml.NVMLError as error:
            lost += 1
            Asker(f"GPU{index}", problems).problem(f"nvmlDeviceGetHandleByIndex: {error}")
    return handles, lost


def _gpu(index: int, handle: Any, problems: list[Json], *, whole: bool) -> Json | None:
    asker = Asker(f"GPU{index}", problems)
    try:
        uuid = asker.ask(pynvml.nvmlDeviceGetUUID, handle)
        if not uuid:
            asker.problem("has no UUID")
            return None
        mig = asker.ask(pynvml.nvmlDeviceGetMigMode, handle)
        memory = asker.ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
        pci = asker.ask(pynvml.nvmlDeviceGetPciInfo, handle)
        linked = links(asker, handle)
        return present(
            {
                "index": index,
                "uuid": uuid,
                "name": asker.ask(pynvml.nvmlDeviceGetName, handle),
                "pciBusID": None if pci is None else sysfs_address(pci),
                "minor": asker.ask(pynvml.nvmlDeviceGetMinorNumber, handle),
                "moduleId": asker.ask(_module_id, handle),
                "memoryBytes": None if memory is None else memory.total,
                "memoryNumaNode": asker.ask(_numa_node, handle),
                "vbios": asker.ask(pynvml.nvmlDeviceGetVbiosVersion, handle),
                "computeCapability": asker.ask(_compute_capability, handle),
                "mig": None if mig is None else _MIG.get(mig[0]),
                "fabric": fabric(asker, handle),
                "platform": platform(asker, handle),
                "link": _pcie(asker, handle),
                "upkeep": _upkeep(handle, linked) if whole else None,
            }
            | linked
        )
    except Lost as error:
        asker.problem(str(error))
        return None


def _upkeep(handle: Any, linked: Json) -> Json:
    from nvtopo.sources.nvml.upkeep import upkeep  # no dump's matter

    return upkeep(handle, len(linked.get("nvlinks") or ()))


@wraps(pynvml.nvmlDeviceGetModuleId)
def _module_id(handle: Any) -> int:
    """``nvmlDeviceGetModuleId`` with an argument of its own: the binding's default one is shared by all callers."""
    return int(pynvml.nvmlDeviceGetModuleId(handle, ctypes.c_uint()))


@wraps(pynvml.nvmlDeviceGetCudaComputeCapability)
def _compute_capability(handle: Any) -> str:
    """``nvmlDeviceGetCudaComputeCapability``, as ``9.0``."""
    return ".".join(map(str, pynvml.nvmlDeviceGetCudaComputeCapability(handle)))


@wraps(pynvml.nvmlDeviceGetNumaNodeId)
def _numa_node(handle: Any) -> int | None:
    """``nvmlDeviceGetNumaNodeId``, which is the GPU's own memory on Grace; negative means none."""
    node = int(pynvml.nvmlDeviceGetNumaNodeId(handle))
    return node if node >= 0 else None


def _pcie(asker: Asker, handle: Any) -> Json:
    return present(
        {
            "generation": asker.ask(pynvml.nvmlDeviceGetCurrPcieLinkGeneration, handle),
            "width": asker.ask(pynvml.nvmlDeviceGetCurrPcieLinkWidth, handle),
            "maxGeneration": asker.ask(pynvml.nvmlDeviceGetMaxPcieLinkGeneration, handle),
            "maxWidth": asker.ask(pynvml.nvmlDeviceGetMaxPcieLinkWidth, handle),
        }
    )


def _pairs(handles: list[tuple[int, Any]], problems: list[Json]) -> list[Json]:
    pairs = []
    for position, (a, one) in enumerate(handles):
        for b, other in handles[position + 1 :]:
            try:
                pairs.append(_pair(a, one, b, other, problems))
            except Lost as error:
                Asker(f"GPU{a}-GPU{b}", problems).problem(str(error))
                pairs.append({"a": a, "b": b, "nvlinkP2P": _P2P_UNKNOWN})
    return pairs


def _pair(a: int, one: Any, b: int, other: Any, problems: list[Json]) -> Json:
    asker = Asker(f"GPU{a}-GPU{b}", problems)
    level = asker.ask(pynvml.nvmlDeviceGetTopologyCommonAncestor, one, other)
    p2p = asker.ask(pynvml.nvmlDeviceGetP2PStatus, one, other, pynvml.NVML_P2P_CAPS_INDEX_NVLINK)
    return present(
        {
            "a": a,
            "b": b,
            "level": _LEVELS.get(level) if level is not None else None,
            "nvlinkP2P": _P2P.get(p2p, _P2P_UNKNOWN),
        }
    )


if __name__ == "__main__":
    main()
