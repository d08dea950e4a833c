"""The process that waits for NVML's events.

It prints lines of JSON: ``{"gpus": N}`` once it listens to so many, ``{"event": …}`` for each event, ``{}`` as a sign
of life between them, and ``{"driver": WHY}`` before it ends because NVML failed. It ends when its input ends, so it
does not outlive the agent and need not be killed, which may hurt a GPU. It imports pynvml and the
standard library only.
"""

import contextlib
import ctypes
import select
import sys
from typing import Any

from nvtopo.sources.nvml.asker import ABSENT, Json, preload, say
from nvtopo.sources.nvml.binding import pynvml

#: How long it may take to end.
WAIT_MILLISECONDS = 500
#: Waits without an event for each sign of life.
_QUIET_WAITS = 10
#: Our name of an event (``nvtopo.model.records.nvml_events``) → NVML's bit. Clock and power state events are ignored.
_KINDS = {
    pynvml.nvmlEventTypeXidCriticalError: "xid",
    pynvml.nvmlEventTypeDoubleBitEccError: "double-bit-ecc",
    pynvml.nvmlEventTypeSingleBitEccErrorStorm: "single-bit-ecc-storm",
    pynvml.nvmlEventTypeDramRetirementEvent: "dram-retirement",
    pynvml.nvmlEventTypeDramRetirementFailure: "dram-retirement-failure",
    pynvml.nvmlEventTypeNonFatalPoisonError: "poison",
    pynvml.nvmlEventTypeFatalPoisonError: "fatal-poison",
    # nvmlEventTypeGpuUnavailableError and …GpuRecoveryAction: the oldest pynvml of setup.cfg has no names for them.
    0x4000: "gpu-unavailable",
    0x8000: "recovery-action",
}


def main(library: str) -> None:
    """Open NVML and report events until the input ends or NVML fails."""
    preload(library)
    try:
        pynvml.nvmlInit()
        session = EventSession()
        say({"gpus": len(session)})
        quiet = 0
        while not select.select([sys.stdin], [], [], 0)[0]:
            answer = session.wait()
            quiet = 0 if answer else quiet + 1
            if answer or quiet % _QUIET_WAITS == 0:
                say(answer)
        pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        if error.value == pynvml.NVML_ERROR_GPU_IS_LOST:
            say({"event": {"kind": "gpu-lost"}})
        say({"driver": str(error)})


class EventSession:
    """One event set, for every GPU that opens and has events."""

    def __init__(self) -> None:
        self._set = pynvml.nvmlEventSetCreate()
        self._gpus: dict[int | None, Json] = {}
        for index in range(pynvml.nvmlDeviceGetCount()):
            with contextlib.suppress(pynvml.NVMLError):  # a lost GPU; the next reading reports it
                self._open(index)

    def __len__(self) -> int:
        return len(self._gpus)

    def wait(self) -> Json:
        """Wait for the next event; return it, or an empty object if none came."""
        try:
            data = pynvml.nvmlEventSetWait_v2(self._set, WAIT_MILLISECONDS)
        except pynvml.NVMLError as error:
            if error.value == pynvml.NVML_ERROR_TIMEOUT:
                return {}
            raise
        event = {"kind": _KINDS.get(data.eventType, "gpu-unavailable"), **self._gpus.get(_address(data.device), {})}
        return {
            "event": event | ({"xid": data.eventData} if data.eventType == pynvml.nvmlEventTypeXidCriticalError else {})
        }

    def _open(self, index: int) -> None:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        types = pynvml.nvmlDeviceGetSupportedEventTypes(handle) & sum(_KINDS)
        if not types:
            return
        try:
            pynvml.nvmlDeviceRegisterEvents(handle, types, self._set)
        except pynvml.NVMLError as error:
            if error.value not in ABSENT:
                raise
            return
        self._gpus[_address(handle)] = {"gpu": index, "uuid": pynvml.nvmlDeviceGetUUID(handle)}


def _address(handle: Any) -> int | None:
    return ctypes.cast(handle, ctypes.c_void_p).value
