"""A GPU's fabric and platform, read in the NVML worker."""

import ctypes
from typing import Any

from nvtopo.sources.nvml.asker import ABSENT, LOST, Asker, Json, Lost, present
from nvtopo.sources.nvml.binding import pynvml

_FABRIC_STATES = {0: "not-supported", 1: "not-started", 2: "in-progress", 3: "completed"}
#: The driver has no such function, or not for this struct, or no longer.
_TRY_ANOTHER = frozenset(
    {
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        pynvml.NVML_ERROR_DEPRECATED,
    }
)
_UNICAST = 0
_FABRIC_HEALTH = {1: "healthy", 2: "unhealthy", 3: "limited-capacity"}
_NO_HEALTH = 0


def fabric(asker: Asker, handle: Any) -> Json | None:
    """Fabric info from the first call that the driver knows; None if the hardware has no fabric.

    After an error it is one without a state: not known, which is not the same as none.
    """
    for info in (_version_3, _version_2, _version_1, _version_4):
        try:
            return _fabric_facts(info(handle))
        except pynvml.NVMLError as error:
            if error.value in LOST:
                raise Lost(str(error)) from error
            if error.value in _TRY_ANOTHER:
                continue
            if error.value in ABSENT:
                return None
            asker.problem(f"nvmlDeviceGetGpuFabricInfo: {error}")
            return {}
    return None


def _version_3(handle: Any) -> Any:
    info = pynvml.c_nvmlGpuFabricInfo_v3_t()
    pynvml.nvmlDeviceGetGpuFabricInfoV(handle, ctypes.byref(info))
    return info


def _version_2(handle: Any) -> Any:
    info = pynvml.c_nvmlGpuFabricInfo_v2_t()
    pynvml.nvmlDeviceGetGpuFabricInfoV(handle, ctypes.byref(info))
    return info


def _version_1(handle: Any) -> Any:
    """Without a version word and without health: drivers before R550."""
    info = pynvml.c_nvmlGpuFabricInfo_t()
    pynvml.nvmlDeviceGetGpuFabricInfo(handle, ctypes.byref(info))
    return info


def _version_4(handle: Any) -> Any:
    """R615 and newer: several cliques. Last, since those drivers still answer the earlier ones."""
    info = pynvml.c_nvmlGpuFabricInfo_v4_t()
    pynvml.nvmlDeviceGetGpuFabricInfo_v4(handle, ctypes.byref(info))
    return info


def _clique(info: Any) -> int | None:
    """The clique in which the GPU reaches others; of the several in version 4, the unicast one."""
    if not hasattr(info, "cliques"):
        return int(info.cliqueId)
    cliques = list(info.cliques)[: info.numCliques]
    return next((int(clique.id) for clique in cliques if clique.type == _UNICAST), None)


def _fabric_facts(info: Any) -> Json:
    """The C struct's state is one byte where the binding declares four: only the lowest is the driver's."""
    state = _FABRIC_STATES.get(info.state & 0xFF)
    completed = state == "completed"
    uuid, health = bytes(info.clusterUuid).hex(), getattr(info, "healthSummary", _NO_HEALTH)
    return present(
        {
            "state": state,
            "status": int(info.status) if completed else None,
            "clusterUUID": f"{uuid[:8]}-{uuid[8:12]}-{uuid[12:16]}-{uuid[16:20]}-{uuid[20:]}" if completed else None,
            "cliqueID": _clique(info) if completed else None,
            "healthMask": getattr(info, "healthMask", None),
            "healthSummary": _FABRIC_HEALTH.get(health),
            "healthNotKnown": True if health not in (_NO_HEALTH, *_FABRIC_HEALTH) else None,
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

    # An HGX board has a host and no rack: without a chassis, slot 0 and tray 0 are no places (hgx-b200-8gpu).
    chassis = at("chassisSerialNumber", 16).split(b"\0")[0].decode("ascii", "replace") or None
    return present(
        {
            "chassisSerial": chassis,
            "slot": at("slotNumber", 1)[0] if chassis else None,
            "tray": at("trayIndex", 1)[0] if chassis else None,
            "host": at("hostId", 1)[0],
            "module": at("moduleId", 1)[0],
            "fabricGuid": at("ibGuid", 8).hex() if any(at("ibGuid", 8)) else None,
        }
    )
