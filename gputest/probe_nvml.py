"""``python -m gputest.probe_nvml LIBRARY``: what pynvml's plain calls answer, as JSON, asked without nvtopo.

nvtopo asks most of it in batches of field values. Here each fact is asked by the call that is named after it, where
there is one. What fails is null.
"""

import ctypes
import json
import sys
from typing import Any

import pynvml

Json = dict[str, Any]
_MOST_LINKS = 64
_CPU_WORDS = 64
_BITS = 64


def main() -> None:
    """Ask and print."""
    try:
        ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)
        pynvml.nvmlInit()
    except (OSError, pynvml.NVMLError) as error:
        sys.exit(f"nvmlInit: {error}")
    sys.stdout.write(json.dumps(probe()))
    pynvml.nvmlShutdown()


def probe() -> Json:
    """Everything that is compared."""
    count = pynvml.nvmlDeviceGetCount()
    handles = {index: _ask(pynvml.nvmlDeviceGetHandleByIndex, index) for index in range(count)}
    opened = {index: handle for index, handle in handles.items() if handle is not None}
    return {
        "count": count,
        "driverVersion": _ask(pynvml.nvmlSystemGetDriverVersion),
        "gpus": [_gpu(index, handle) for index, handle in opened.items()],
        "pairs": [
            {
                "a": a,
                "b": b,
                "level": _ask(pynvml.nvmlDeviceGetTopologyCommonAncestor, opened[a], opened[b]),
                "p2p": _ask(pynvml.nvmlDeviceGetP2PStatus, opened[a], opened[b], pynvml.NVML_P2P_CAPS_INDEX_NVLINK),
            }
            for a in opened
            for b in opened
            if a < b
        ],
    }


def _ask(function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except (pynvml.NVMLError, UnicodeDecodeError):
        return None


def _gpu(index: int, handle: Any) -> Json:
    memory, pci = _ask(pynvml.nvmlDeviceGetMemoryInfo, handle), _ask(pynvml.nvmlDeviceGetPciInfo, handle)
    compute = _ask(pynvml.nvmlDeviceGetCudaComputeCapability, handle)
    bus, mig = getattr(pci, "busId", None), _ask(pynvml.nvmlDeviceGetMigMode, handle)
    return {
        "index": index,
        "uuid": _ask(pynvml.nvmlDeviceGetUUID, handle),
        "name": _ask(pynvml.nvmlDeviceGetName, handle),
        "pciBusID": bus.decode() if isinstance(bus, bytes) else bus,
        "memoryBytes": getattr(memory, "total", None),
        "minor": _ask(pynvml.nvmlDeviceGetMinorNumber, handle),
        "moduleId": _ask(pynvml.nvmlDeviceGetModuleId, handle, ctypes.c_uint()),
        "computeCapability": None if compute is None else "{}.{}".format(*compute),
        "vbios": _ask(pynvml.nvmlDeviceGetVbiosVersion, handle),
        "mig": None if mig is None else bool(mig[0]),
        "width": _ask(pynvml.nvmlDeviceGetCurrPcieLinkWidth, handle),
        "maxWidth": _ask(pynvml.nvmlDeviceGetMaxPcieLinkWidth, handle),
        "maxGeneration": _ask(pynvml.nvmlDeviceGetMaxPcieLinkGeneration, handle),
        "cpus": _cpus(_ask(pynvml.nvmlDeviceGetCpuAffinity, handle, _CPU_WORDS)),
        "links": [_link(handle, link) for link in range(_MOST_LINKS) if _has(handle, link)],
    }


def _has(handle: Any, link: int) -> bool:
    return _ask(pynvml.nvmlDeviceGetNvLinkState, handle, link) is not None


def _link(handle: Any, link: int) -> Json:
    pci = _ask(pynvml.nvmlDeviceGetNvLinkRemotePciInfo, handle, link)
    bus = getattr(pci, "busId", None)
    return {
        "link": link,
        "active": bool(_ask(pynvml.nvmlDeviceGetNvLinkState, handle, link)),
        "remote": bus.decode() if isinstance(bus, bytes) else bus,
        "type": _ask(pynvml.nvmlDeviceGetNvLinkRemoteDeviceType, handle, link),
    }


def _cpus(words: Any) -> list[int] | None:
    if words is None:
        return None
    return [_BITS * number + bit for number, word in enumerate(words) for bit in range(_BITS) if word >> bit & 1]


if __name__ == "__main__":
    main()
