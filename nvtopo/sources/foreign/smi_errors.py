"""What ``nvidia-smi`` says instead of an answer: of GPUs that it can't open, and in the place of a value.

These are NVML's own errors, so they are problems of the driver and not of the input: a node that has one is not ready.
"""

import re
from collections.abc import Iterator
from typing import Final

from nvtopo.model.formats.address import is_pci_address, parse_pci_address
from nvtopo.model.records.record import Problem
from nvtopo.sources.foreign.given import Given

_SOURCE: Final = "nvml"
_HANDLE: Final = re.compile(
    r"Unable to determine the device handle for (?:GPU|gpu)\s{0,4}(?:[0-9]{1,4}: ?)?"
    r"([0-9A-Fa-f:.]{7,20}): ?([^.\n]{3,80})"
)
_VALUE: Final = re.compile(r"\[?(ERR!|GPU is lost|Unknown Error|GPU requires reset|GPU access blocked[^\]]{0,40})\]?")
_DEPRECATED: Final = re.compile(r"\s{0,8}[\[(][^\])]{0,20}[Dd]eprecated[^\])]{0,120}[\])]\s*$")
_MOST: Final = 512


def lost(given: Given) -> tuple[Problem, ...]:
    """GPUs that the tool names and can't open; the text has no other line of them."""
    return tuple(dict.fromkeys(_lost(given)))[:_MOST]


def _lost(given: Given) -> Iterator[Problem]:
    if "Unable to determine" not in given.text:
        return
    for line in given.lines:
        match = _HANDLE.search(line[:400])
        if match is not None and is_pci_address(match[1]):
            yield Problem(source=_SOURCE, subject=parse_pci_address(match[1]), reason=match[2].strip())


def without_note(value: str) -> str:
    """A value without the note that its field is deprecated, which drivers put behind it since 610."""
    return _DEPRECATED.sub("", value) if "eprecated" in value else value


def error_in(value: str) -> str:
    """The error that stands where a value should be; empty where it is a value."""
    match = _VALUE.fullmatch(value.strip())
    return match[1] if match else ""


def problem(subject: str, error: str) -> Problem:
    """A GPU that is listed, and whose values are errors."""
    return Problem(source=_SOURCE, subject=subject, reason=error)
