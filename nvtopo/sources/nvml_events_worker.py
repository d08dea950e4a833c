"""The process that waits for NVML's events: ``python -m`` this module, with the library.

It prints lines of JSON: ``{"gpus": N}`` once it listens to so many, ``{"event": …}`` for each event, ``{}`` as a sign
of life between them, and ``{"driver": WHY}`` before it ends because NVML does not go on. It ends when its input does:
nobody who dies leaves it behind, and nobody has to kill it, from which a GPU may suffer. It imports pynvml and the
standard library only.
"""

import contextlib
import ctypes
import json
import select
import signal
import sys
from typing import Any

import pynvml

from nvtopo.sources.nvml_asker import ABSENT, Json

#: How long it may take to end.
WAIT_MILLISECONDS = 500
#: Waits without an event for each sign of life.
_QUIET_WAITS = 10
_TIMEOUT, _GPU_IS_LOST = 10, 15
_XID = 0x8
#: NVML's bits, by our words for them (``nvtopo.model.nvml_events``). Clocks and power states are no news.
_KINDS = {
    _XID: "xid",
    0x2: "double-bit-ecc",
    0x200: "single-bit-ecc-storm",
    0x400: "dram-retirement",
    0x800: "dram-retirement-failure",
    0x1000: "poison",
    0x2000: "fatal-poison",
    0x4000: "gpu-unavailable",
    0x8000: "recovery-action",
}


def main() -> None:
    """Open, tell, until the input ends or NVML does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the agent's to handle
    # pynvml asks the linker for the bare name, and gets whatever is loaded already under it.
    with contextlib.suppress(OSError):
        ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)
    try:
        pynvml.nvmlInit()
        session = Session()
        _say({"gpus": len(session)})
        quiet = 0
        while not select.select([sys.stdin], [], [], 0)[0]:
            answer = session.wait()
            quiet = 0 if answer else quiet + 1
            if answer or quiet % _QUIET_WAITS == 0:
                _say(answer)
        pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        if error.value == _GPU_IS_LOST:
            _say({"event": {"kind": "gpu-lost"}})
        _say({"driver": str(error)})


def _say(answer: Json) -> None:
    try:
        print(json.dumps(answer), flush=True)  # noqa: T201 - the answer
    except BrokenPipeError:  # whoever listens is gone
        sys.exit()


class Session:
    """One event set, for every GPU that opens and has events."""

    def __init__(self) -> None:
        self._set = pynvml.nvmlEventSetCreate()
        self._gpus: dict[int | None, Json] = {}
        for index in range(pynvml.nvmlDeviceGetCount()):
            with contextlib.suppress(pynvml.NVMLError):  # a GPU that is lost; the reading of everything says so
                self._open(index)

    def __len__(self) -> int:
        return len(self._gpus)

    def wait(self) -> Json:
        """What to say next: an event, or nothing yet."""
        try:
            data = pynvml.nvmlEventSetWait_v2(self._set, WAIT_MILLISECONDS)
        except pynvml.NVMLError as error:
            if error.value == _TIMEOUT:
                return {}
            raise
        event = {"kind": _KINDS.get(data.eventType, "gpu-unavailable"), **self._gpus.get(_address(data.device), {})}
        return {"event": event | ({"xid": data.eventData} if data.eventType == _XID else {})}

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


if __name__ == "__main__":
    main()
