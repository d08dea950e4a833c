"""The worker that asks NVML, whose library is its argument.

It prints one JSON object ``{"facts": …, "problems": […]}`` and ends.

It imports pynvml and the standard library only, since its start is part of every dump. A call that the driver or the
hardware does not support is absent; one that should answer and does not is a problem; a GPU that is lost is left out
with a problem, and the others are read all the same.
"""

import contextlib
import ctypes
import json
import sys
from collections.abc import Callable
from typing import Any

import pynvml

Json = dict[str, Any]

#: The driver's or the hardware's way to say "I have no such thing": NOT_SUPPORTED, NOT_FOUND, FUNCTION_NOT_FOUND,
#: DEPRECATED, and ARGUMENT_VERSION_MISMATCH where the driver is older than the struct.
_ABSENT = frozenset({3, 6, 13, 25, 26})
_VERSION_MISMATCH = 25
_LIBRARY_NOT_FOUND = 12
_FUNCTION_NOT_FOUND = 13
#: What an operator does about the ways in which a driver is not ready.
_NOT_READY = {
    4: "no permission for /dev/nvidiactl: run as root, or with the devices mapped in",
    9: "kernel module not loaded yet: `modprobe nvidia`, or wait for the driver container",
    18: "driver/library version mismatch: the driver was upgraded underneath; drain the node and reload it, or reboot",
}
#: GPU_IS_LOST, RESET_REQUIRED: nothing else about this GPU is worth asking.
_LOST = frozenset({15, 16})
_MIG_ENABLED = 1

_LINK_COUNT = 91
_SPEED, _STATE, _VERSION, _REMOTE_LINK = 164, 165, 166, 146
_C2C_COUNT, _C2C_BANDWIDTH = 170, 172
_MEGABYTE = 1_000_000

_VERSIONS = {1: "1.0", 2: "2.0", 3: "2.2", 4: "3.0", 5: "3.1", 6: "4.0", 7: "5.0", 8: "6.0"}
_LINK_STATES = {0: "inactive", 1: "active", 2: "sleep", 3: "traffic-disabled"}
_REMOTES = {0: "gpu", 1: "npu", 2: "switch"}
_LEVELS = {0: "INTERNAL", 10: "PIX", 20: "PXB", 30: "PHB", 40: "NODE", 50: "SYS"}
_P2P = {0: "OK", 1: "CNS", 2: "GNS", 3: "TNS", 4: "DR", 5: "NS"}
_P2P_NVLINK = 2
_FABRIC_STATES = {0: "not-supported", 1: "not-started", 2: "in-progress", 3: "completed"}
_FABRIC_HEALTH = {1: "healthy", 2: "unhealthy", 3: "limited-capacity"}
#: NVML's sentinel for an NVSwitch whose PCI address is hidden; no PCI device has the number 0xff.
_HIDDEN_DEVICE = 0xFF
#: Arguments too large for the hardware of today and small enough to survive a driver that answers nonsense.
_MOST_LINKS = 256
#: Links that a GPU is asked about before it said how many it has: the most that a GPU here had so far.
_links_expected = [18]


class Lost(Exception):
    """The GPU is gone; nothing more can be asked of it."""


class Asker:
    """Calls NVML for one subject: answers, None where there is no such thing, problems noted on the way."""

    def __init__(self, subject: str, problems: list[Json]) -> None:
        self._subject = subject
        self._problems = problems

    def ask(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """What the call returns; None where absent or failed. Raises Lost."""
        try:
            return call(*arguments)
        except pynvml.NVMLError as error:
            if error.value in _LOST:
                raise Lost(str(error)) from error
            if error.value not in _ABSENT:
                self.problem(f"{call.__name__}: {error}")
            return None

    def problem(self, reason: str) -> None:
        """Note what should have answered and did not."""
        self._problems.append({"source": "nvml", "subject": self._subject, "reason": reason})


def main() -> None:
    """Ask, print, end."""
    problems: list[Json] = []
    # pynvml asks the linker for the bare name, and gets whatever is loaded already under it.
    with contextlib.suppress(OSError):
        ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)
    print(json.dumps({"facts": _facts(problems), "problems": problems}))  # noqa: T201 - the answer
    sys.stdout.flush()


def _facts(problems: list[Json]) -> Json | None:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if error.value != _LIBRARY_NOT_FOUND:
            Asker("driver", problems).problem(_NOT_READY.get(error.value, f"nvmlInit: {error}"))
        return None
    asker = Asker("driver", problems)
    handles, lost = _handles(asker, problems)
    gpus = [gpu for index, handle in handles if (gpu := _gpu(index, handle, problems)) is not None]
    answered = {gpu["index"] for gpu in gpus}
    return _present(
        {
            "driverVersion": asker.ask(pynvml.nvmlSystemGetDriverVersion),
            "nvmlVersion": asker.ask(pynvml.nvmlSystemGetNVMLVersion),
            "cudaVersion": _cuda_version(asker.ask(pynvml.nvmlSystemGetCudaDriverVersion_v2)),
            "gpus": gpus,
            "pairs": _pairs([item for item in handles if item[0] in answered], problems),
            "lost": lost + len(handles) - len(gpus),
        }
    )


def _cuda_version(number: int | None) -> str | None:
    """``13.0`` from 13000."""
    return None if number is None else f"{number // 1000}.{number % 1000 // 10}"


def _handles(asker: Asker, problems: list[Json]) -> tuple[list[tuple[int, Any]], int]:
    """Handle of each GPU that opens, and how many do not."""
    handles: list[tuple[int, Any]] = []
    lost = 0
    for index in range(asker.ask(pynvml.nvmlDeviceGetCount) or 0):
        try:
            handles.append((index, pynvml.nvmlDeviceGetHandleByIndex(index)))
        except pynvml.NVMLError as error:
            lost += 1
            Asker(f"GPU{index}", problems).problem(f"nvmlDeviceGetHandleByIndex: {error}")
    return handles, lost


def _gpu(index: int, handle: Any, problems: list[Json]) -> Json | None:
    asker = Asker(f"GPU{index}", problems)
    try:
        uuid = asker.ask(pynvml.nvmlDeviceGetUUID, handle)
        if uuid is None:
            asker.problem("has no UUID")
            return None
        mig = asker.ask(pynvml.nvmlDeviceGetMigMode, handle)
        memory = asker.ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
        pci = asker.ask(pynvml.nvmlDeviceGetPciInfo, handle)
        return _present(
            {
                "index": index,
                "uuid": uuid,
                "name": asker.ask(pynvml.nvmlDeviceGetName, handle),
                "pciBusID": None if pci is None else _address(pci),
                "minor": asker.ask(pynvml.nvmlDeviceGetMinorNumber, handle),
                "moduleId": asker.ask(_module_id, handle),
                "memoryBytes": None if memory is None else memory.total,
                "memoryNumaNode": asker.ask(_numa_node, handle),
                "vbios": asker.ask(pynvml.nvmlDeviceGetVbiosVersion, handle),
                "mig": None if mig is None else mig[0] == _MIG_ENABLED,
                "fabric": _fabric(asker, handle),
                "platform": _platform(asker, handle),
                "link": _pcie(asker, handle),
            }
            | _links(asker, handle)
        )
    except Lost as error:
        asker.problem(str(error))
        return None


def _module_id(handle: Any) -> int:
    """``nvmlDeviceGetModuleId`` with an argument of its own: the binding's default one is shared by all callers."""
    return int(pynvml.nvmlDeviceGetModuleId(handle, ctypes.c_uint()))


def _numa_node(handle: Any) -> int | None:
    """``nvmlDeviceGetNumaNodeId``, which is the GPU's own memory on Grace; negative means none."""
    node = int(pynvml.nvmlDeviceGetNumaNodeId(handle))
    return node if node >= 0 else None


def _address(pci: Any) -> str | None:
    """Sysfs's spelling of a PciInfo; None for the sentinel of a hidden NVSwitch."""
    if pci.device >= _HIDDEN_DEVICE:
        return None
    return f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.0"


def _pcie(asker: Asker, handle: Any) -> Json:
    return _present(
        {
            "generation": asker.ask(pynvml.nvmlDeviceGetCurrPcieLinkGeneration, handle),
            "width": asker.ask(pynvml.nvmlDeviceGetCurrPcieLinkWidth, handle),
            "maxGeneration": asker.ask(pynvml.nvmlDeviceGetMaxPcieLinkGeneration, handle),
            "maxWidth": asker.ask(pynvml.nvmlDeviceGetMaxPcieLinkWidth, handle),
        }
    )


def _links(asker: Asker, handle: Any) -> Json:
    """NVLink and C2C in one batched field query, with as many links as any GPU before this one had.

    A second query follows where this GPU has more. A driver before R525 answers no field of a link: then each link is
    asked by calls of its own, up to the first that the GPU does not have.
    """
    asked = [_LINK_COUNT, _C2C_COUNT, (_C2C_BANDWIDTH, 0), *_link_fields(range(_links_expected[0]))]
    fields = _fields(asker, handle, asked)
    count = fields.get((_LINK_COUNT, 0))
    if count is None:
        count = _count_by_calls(handle)
    count = min(count, _MOST_LINKS)
    if count > _links_expected[0]:
        fields |= _fields(asker, handle, _link_fields(range(_links_expected[0], count)))
        _links_expected[0] = count
    c2c, bandwidth = fields.get((_C2C_COUNT, 0)), fields.get((_C2C_BANDWIDTH, 0))
    return {
        "nvlinkCount": count or fields.get((_LINK_COUNT, 0)),
        "nvlinks": [_link(asker, handle, link, fields) for link in range(count)],
        "c2cLinks": c2c or None,
        "c2cBytesPerSecond": bandwidth * _MEGABYTE if c2c and bandwidth else None,
    }


def _link_fields(links: range) -> list[Any]:
    return [(field, link) for link in links for field in (_STATE, _VERSION, _SPEED, _REMOTE_LINK)]


def _count_by_calls(handle: Any) -> int:
    """How many links answer for their state; the first that does not ends the count."""
    for link in range(_MOST_LINKS):
        try:
            pynvml.nvmlDeviceGetNvLinkState(handle, link)
        except pynvml.NVMLError as error:
            if error.value in _LOST:
                raise Lost(str(error)) from error
            return link
    return _MOST_LINKS


def _link(asker: Asker, handle: Any, link: int, fields: dict[tuple[int, int], int]) -> Json:
    number, version = fields.get((_STATE, link)), fields.get((_VERSION, link))
    if number is None:
        number = asker.ask(pynvml.nvmlDeviceGetNvLinkState, handle, link)
        version = asker.ask(pynvml.nvmlDeviceGetNvLinkVersion, handle, link)
    state = _LINK_STATES.get(-1 if number is None else number)
    speed = fields.get((_SPEED, link))
    up = state in ("active", "sleep")
    remote = asker.ask(pynvml.nvmlDeviceGetNvLinkRemoteDeviceType, handle, link) if up else None
    pci = asker.ask(pynvml.nvmlDeviceGetNvLinkRemotePciInfo, handle, link) if up else None
    return _present(
        {
            "link": link,
            "state": state,
            "version": _VERSIONS.get(-1 if version is None else version),
            "bytesPerSecond": speed * _MEGABYTE if speed and up else None,
            "remote": _REMOTES.get(remote) if remote is not None else None,
            "remotePciBusID": None if pci is None else _address(pci),
            "remoteLink": fields.get((_REMOTE_LINK, link)) if up else None,
        }
    )


def _fields(asker: Asker, handle: Any, asked: list[Any]) -> dict[tuple[int, int], int]:
    """The fields that answered, by (field, scope); the rest are not supported here."""
    answers = asker.ask(pynvml.nvmlDeviceGetFieldValues, handle, asked) or ()
    return {
        (answer.fieldId, answer.scopeId): _value(answer)
        for answer in answers
        if answer.nvmlReturn == pynvml.NVML_SUCCESS
    }


def _value(answer: Any) -> int:
    """A field's value, from the member of the union that its type names."""
    member = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")[answer.valueType]
    return int(getattr(answer.value, member))


def _fabric(asker: Asker, handle: Any) -> Json | None:
    """Fabric info by the newest struct that the driver knows: v3, then v2, then the unversioned first."""
    for kind in (pynvml.c_nvmlGpuFabricInfo_v3_t, pynvml.c_nvmlGpuFabricInfo_v2_t):
        info = kind()
        try:
            pynvml.nvmlDeviceGetGpuFabricInfoV(handle, ctypes.byref(info))
        except pynvml.NVMLError as error:
            if error.value == _VERSION_MISMATCH:
                continue
            if error.value == _FUNCTION_NOT_FOUND:
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
    if error.value in _LOST:
        raise Lost(str(error))
    if error.value not in _ABSENT:
        asker.problem(f"nvmlDeviceGetGpuFabricInfo: {error}")


def _fabric_facts(info: Any) -> Json:
    """The C struct's state is one byte where the binding declares four: only the lowest is the driver's."""
    state = _FABRIC_STATES.get(info.state & 0xFF)
    completed = state == "completed"
    uuid = bytes(info.clusterUuid).hex()
    return _present(
        {
            "state": state,
            "status": int(info.status) if completed else None,
            "clusterUUID": f"{uuid[:8]}-{uuid[8:12]}-{uuid[12:16]}-{uuid[16:20]}-{uuid[20:]}" if completed else None,
            "cliqueID": int(info.cliqueId) if completed else None,
            "healthMask": getattr(info, "healthMask", None),
            "healthSummary": _FABRIC_HEALTH.get(getattr(info, "healthSummary", 0)),
        }
    )


def _platform(asker: Asker, handle: Any) -> Json | None:
    """Where the GPU sits in its rack. Read as bytes: the binding decodes these one-byte numbers as text."""
    info = pynvml.c_nvmlPlatformInfo_v2_t()
    if asker.ask(pynvml.nvmlDeviceGetPlatformInfo, handle, ctypes.byref(info)) is None:
        return None
    raw = ctypes.string_at(ctypes.addressof(info), ctypes.sizeof(info))

    def at(name: str, size: int) -> bytes:
        offset = getattr(type(info), name).offset
        return bytes(raw[offset : offset + size])

    return _present(
        {
            "chassisSerial": at("chassisSerialNumber", 16).split(b"\0")[0].decode("ascii", "replace") or None,
            "slot": at("slotNumber", 1)[0],
            "tray": at("trayIndex", 1)[0],
            "host": at("hostId", 1)[0],
            "module": at("moduleId", 1)[0],
            "fabricGuid": at("ibGuid", 8).hex() if any(at("ibGuid", 8)) else None,
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
    return pairs


def _pair(a: int, one: Any, b: int, other: Any, problems: list[Json]) -> Json:
    asker = Asker(f"GPU{a}-GPU{b}", problems)
    level = asker.ask(pynvml.nvmlDeviceGetTopologyCommonAncestor, one, other)
    p2p = asker.ask(pynvml.nvmlDeviceGetP2PStatus, one, other, _P2P_NVLINK)
    return _present(
        {
            "a": a,
            "b": b,
            "level": _LEVELS.get(level) if level is not None else None,
            "nvlinkP2p": _P2P.get(p2p, "U") if p2p is not None else None,
        }
    )


def _present(fields: Json) -> Json:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


if __name__ == "__main__":
    main()
