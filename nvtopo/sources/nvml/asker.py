"""How the workers call NVML: for one subject at a time, distinguishing absent, failed and a lost GPU.

These modules run in the worker process: pynvml and the standard library only, since its start is part of every dump.
"""

import contextlib
import ctypes
import json
import sys
from collections.abc import Callable
from typing import Any

from nvtopo.sources.nvml.binding import pynvml
from nvtopo.sources.nvml.field_values import Key, decode

Json = dict[str, Any]

#: Return codes for what the driver or the hardware does not have. On a version mismatch the driver is older than the
#: struct.
ABSENT = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_NOT_FOUND,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        pynvml.NVML_ERROR_DEPRECATED,
    }
)
#: A driver that does not know a field, or a GPU that has no such link, may call it an invalid argument.
NO_SUCH_FIELD = ABSENT | {pynvml.NVML_SUCCESS, pynvml.NVML_ERROR_INVALID_ARGUMENT}
#: After these codes the GPU answers nothing else.
LOST = frozenset({pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED})
#: NVML's sentinel for an NVSwitch whose PCI address is hidden; no PCI device has the number 0xff.
_HIDDEN_DEVICE = 0xFF


class Lost(Exception):
    """The GPU is gone; nothing more can be asked of it."""


class Asker:
    r"""Calls NVML for one subject. Absent values give None; failures give None and a problem.

    A text that is not UTF-8 is given with its odd bytes as ``\xff``.
    """

    def __init__(self, subject: str, problems: list[Json]) -> None:
        self._subject = subject
        self._problems = problems

    def ask(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """The call's result; None if it is absent or failed. Raises Lost if the GPU is gone."""
        try:
            return call(*arguments)
        except UnicodeDecodeError as error:
            return error.object.decode("utf-8", "backslashreplace")
        except pynvml.NVMLError as error:
            if error.value in LOST:
                raise Lost(str(error)) from error
            if error.value not in ABSENT:
                self.problem(f"{call.__name__}: {error}")
            return None

    def problem(self, reason: str) -> None:
        """Add a problem: something should have answered and did not."""
        self._problems.append({"source": "nvml", "subject": self._subject, "reason": reason})


def field_values(asker: Asker, handle: Any, asked: list[Any]) -> dict[Key, int]:
    """The fields that answered. An error other than "has no such field" is a problem, one for each field and code."""
    answers = asker.ask(pynvml.nvmlDeviceGetFieldValues, handle, asked)
    if answers is None:
        return {}
    values: dict[Key, int] = {}
    failed: dict[tuple[int, int], list[int]] = {}
    for (field, scope), code, value in decode(answers):
        if code in LOST:
            raise Lost(str(pynvml.NVMLError(code)))
        if value is not None:
            values[field, scope] = value
        elif code not in NO_SUCH_FIELD:
            failed.setdefault((field, code), []).append(scope)
    for (field, code), scopes in failed.items():
        asker.problem(f"nvmlDeviceGetFieldValues: field {field} of {_scopes(scopes)}: {pynvml.NVMLError(code)}")
    return values


def _scopes(scopes: list[int]) -> str:
    return f"scope {scopes[0]}" if len(scopes) == 1 else f"scopes {scopes[0]} to {scopes[-1]}"


def preload(library: str) -> None:
    """Load NVML from this path. pynvml then gets this one, since the linker reuses a library loaded under its name."""
    with contextlib.suppress(OSError):
        ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)


def say(answer: Json) -> None:
    """Print one line; end the worker if nobody reads it any more."""
    try:
        print(json.dumps(answer), flush=True)  # noqa: T201 - the answer
    except BrokenPipeError:
        sys.exit()


def sysfs_address(pci: Any) -> str | None:
    """Sysfs's spelling of a PciInfo; None for the sentinel of a hidden NVSwitch."""
    if pci.device >= _HIDDEN_DEVICE:
        return None
    return f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.0"


def present(fields: Json) -> Json:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}
