"""``python -m gputest.probe_calls LIBRARY``: calls into the driver, and their time, for one reading and for samples.

Runs the code of nvtopo's two workers, with each NVML function wrapped where pynvml looks it up.
"""

import contextlib
import io
import json
import sys
import time
from collections import Counter, defaultdict
from typing import Any, Final

import pynvml

from nvtopo.sources.nvml import worker
from nvtopo.sources.nvml.counters_worker import CounterSession

Json = dict[str, Any]
_SAMPLES: Final = 5
_LOOKUP: Final = "_nvmlGetFunctionPointer"

calls: Counter[str] = Counter()
seconds: defaultdict[str, float] = defaultdict(float)


class _Counted:
    """A function of the library that counts its calls; attributes are the function's own."""

    def __init__(self, name: str, function: Any) -> None:
        self.__dict__.update(_name=name, _function=function)

    def __call__(self, *arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return self._function(*arguments)
        finally:
            calls[self._name] += 1
            seconds[self._name] += time.perf_counter() - began

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._function, name, value)


def main() -> None:
    """Measure and print."""
    try:
        found = _measured()
    except pynvml.NVMLError as error:
        sys.exit(f"the driver does not answer: {error}")
    sys.stdout.write(json.dumps(found))


def _measured() -> Json:
    lookup = getattr(pynvml, _LOOKUP, None)
    if lookup is None:
        sys.exit(f"this pynvml has no {_LOOKUP}: its calls can't be counted")
    setattr(pynvml, _LOOKUP, lambda name: _Counted(name, lookup(name)))
    with contextlib.redirect_stdout(io.StringIO()):
        reading = _part(worker.main)
    pynvml.nvmlInit()
    session: list[CounterSession] = []
    found = {"reading": reading, "open": _part(lambda: session.append(CounterSession()))}
    for name, health in (("traffic", False), ("health", True)):
        parts = [_part(lambda health=health: session[0].sample(health=health)) for _ in range(_SAMPLES)]
        found[name] = parts[-1] | {"seconds": sorted(part["seconds"] for part in parts)[_SAMPLES // 2]}
    pynvml.nvmlShutdown()
    return found


def _part(work: Any) -> Json:
    calls.clear()
    seconds.clear()
    began = time.perf_counter()
    work()
    slowest = max(seconds, key=lambda name: seconds[name], default="")
    return {
        "seconds": time.perf_counter() - began,
        "calls": calls.total(),
        "driverSeconds": sum(seconds.values()),
        "slowest": slowest,
        "slowestSeconds": seconds[slowest] if slowest else 0.0,
        "byFunction": dict(sorted(calls.items())),
    }


if __name__ == "__main__":
    main()
