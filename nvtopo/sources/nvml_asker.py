"""How the NVML worker asks: one subject at a time, absent told from failed, a lost GPU told from both.

These modules run in the worker process: pynvml and the standard library only, since its start is part of every dump.
"""

from collections.abc import Callable
from typing import Any

import pynvml

Json = dict[str, Any]

#: The driver's or the hardware's way to say "I have no such thing": NOT_SUPPORTED, NOT_FOUND, FUNCTION_NOT_FOUND,
#: DEPRECATED, and ARGUMENT_VERSION_MISMATCH where the driver is older than the struct.
ABSENT = frozenset({3, 6, 13, 25, 26})
FUNCTION_NOT_FOUND = 13
VERSION_MISMATCH = 25
DEPRECATED = 26
#: GPU_IS_LOST, RESET_REQUIRED: nothing else about this GPU is worth asking.
LOST = frozenset({15, 16})
#: NVML's sentinel for an NVSwitch whose PCI address is hidden; no PCI device has the number 0xff.
_HIDDEN_DEVICE = 0xFF


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
            if error.value in LOST:
                raise Lost(str(error)) from error
            if error.value not in ABSENT:
                self.problem(f"{call.__name__}: {error}")
            return None

    def problem(self, reason: str) -> None:
        """Note what should have answered and did not."""
        self._problems.append({"source": "nvml", "subject": self._subject, "reason": reason})


def field_values(asker: Asker, handle: Any, asked: list[Any]) -> dict[tuple[int, int], int]:
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


def sysfs_address(pci: Any) -> str | None:
    """Sysfs's spelling of a PciInfo; None for the sentinel of a hidden NVSwitch."""
    if pci.device >= _HIDDEN_DEVICE:
        return None
    return f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.0"


def present(fields: Json) -> Json:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}
