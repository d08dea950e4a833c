"""A GPU's fabric and platform, asked in the NVML worker."""

import ctypes
from typing import Any

import pynvml

from nvtopo.sources.nvml_asker import ABSENT, FUNCTION_NOT_FOUND, LOST, VERSION_MISMATCH, Asker, Json, Lost, present

_FABRIC_STATES = {0: "not-supported", 1: "not-started", 2: "in-progress", 3: "completed"}
_FABRIC_HEALTH = {1: "healthy", 2: "unhealthy", 3: "limited-capacity"}


def fabric(asker: Asker, handle: Any) -> Json | None:
    """Fabric info by the newest struct that the driver knows: v3, then v2, then the unversioned first."""
    for kind in (pynvml.c_nvmlGpuFabricInfo_v3_t, pynvml.c_nvmlGpuFabricInfo_v2_t):
        info = kind()
        try:
            pynvml.nvmlDeviceGetGpuFabricInfoV(handle, ctypes.byref(info))
        except pynvml.NVMLError as error:
            if error.value == VERSION_MISMATCH:
                continue
            if error.value == FUNCTION_NOT_FOUND:
                break
            _not_answered(asker, error)
            return None
        return _fabric_facts(info)
    info = pynvml.c_nvmlGpuFabricInfo_t()
    try:
        pynvml.nvmlDeviceGetGpuFabricInfo(handle, ctypes.byref(info))
    except pynvml.NVMLError as error:
        _not_answered(asker, error)
        return None
    return _fabric_facts(info)


def _not_answered(asker: Asker, error: Any) -> None:
    if error.value in LOST:
        raise Lost(str(error))
    if error.value not in ABSENT:
        asker.problem(f"nvmlDeviceGetGpuFabricInfo: {error}")


def _fabric_facts(info: Any) -> Json:
    """The C struct's state is one byte where the binding declares four: only the lowest is the driver's."""
    state = _FABRIC_STATES.get(info.state & 0xFF)
    completed = state == "completed"
    uuid = bytes(info.clusterUuid).hex()
    return present(
        {
            "state": state,
            "status": int(info.status) if completed else None,
            "clusterUUID": f"{uuid[:8]}-{uuid[8:12]}-{uuid[12:16]}-{uuid[16:20]}-{uuid[20:]}" if completed else None,
            "cliqueID": int(info.cliqueId) if completed else None,
            "healthMask": getattr(info, "healthMask", None),
            "healthSummary": _FABRIC_HEALTH.get(getattr(info, "healthSummary", 0)),
        }
    )


def platform(asker: Asker, handle: Any) -> Json | None:
    """Where the GPU sits in its rack. Read as bytes: the binding decodes these one-byte numbers as text."""
    info = pynvml.c_nvmlPlatformInfo_v2_t()
    if asker.ask(pynvml.nvmlDeviceGetPlatformInfo, handle, ctypes.byref(info)) is None:
        return None
    raw = ctypes.string_at(ctypes.addressof(info), ctypes.sizeof(info))

    def at(name: str, size: int) -> bytes:
        offset = getattr(type(info), name).offset
        return bytes(raw[offset : offset + size])

    return present(
        {
            "chassisSerial": at("chassisSerialNumber", 16).split(b"\0")[0].decode("ascii", "replace") or None,
            "slot": at("slotNumber", 1)[0],
            "tray": at("trayIndex", 1)[0],
            "host": at("hostId", 1)[0],
            "module": at("moduleId", 1)[0],
            "fabricGuid": at("ibGuid", 8).hex() if any(at("ibGuid", 8)) else None,
        }
    )
