"""The NVML worker of ``nvtopo dump``, started before the command line is read: it takes longer than reading all else.

What it is asked is a guess from the arguments. The command line decides, and a worker that was started for another
library, or that nobody takes, is ended. Nothing here may import what takes time.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nvtopo.sources.nvml.topology import NvmlWorker

_VERB = "dump"
_LIBRARY = "--nvml"
#: With one of these no driver is asked.
_NEVER = ("--from", "--help", "-h")
#: With this one none is, unless its library is named.
_ROOT = "--root"
_FROM_VARIABLE, _ROOT_VARIABLE = "NVTOPO_DUMP_FROM", "NVTOPO_DUMP_ROOT"
_LIBRARY_VARIABLES = ("NVTOPO_NVML", "NVTOPO_DUMP_NVML")

_started: "list[NvmlWorker]" = []


def begin(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Start the worker that these arguments seem to ask for."""
    library = guess(arguments, environment)
    if library in (None, "none"):
        return
    from nvtopo.sources.nvml.topology import LIBRARY, NvmlWorker

    worker = NvmlWorker(library or LIBRARY)
    try:
        worker.begin()
    except OSError:  # no process to be had: who reads the driver meets it again, and says so
        return
    _started.append(worker)


def guess(arguments: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """The library that is asked: empty for the usual one, None if no driver is."""
    names = [argument.partition("=")[0] for argument in arguments]
    if names[:1] != [_VERB] or environment.get(_FROM_VARIABLE) or any(name in _NEVER for name in names):
        return None
    if _LIBRARY in names:
        position = names.index(_LIBRARY)
        _, given, value = arguments[position].partition("=")
        return value if given else next(iter(arguments[position + 1 :]), None)
    library = next((environment[name] for name in _LIBRARY_VARIABLES if environment.get(name)), "")
    elsewhere = _ROOT in names or environment.get(_ROOT_VARIABLE)
    return None if elsewhere and not library else library


def take(library: str) -> "NvmlWorker | None":
    """The worker that was started, if it is for this library."""
    worker = _started.pop() if _started else None
    if worker is not None and worker.library != library:
        worker.abandon()
        return None
    return worker


def end() -> None:
    """End the worker if nobody took it."""
    while _started:
        _started.pop().abandon()
