"""The error message for a file without a topology, with a guess what it is."""

import re

from nvtopo.errors import ParseError
from nvtopo.sources.capture import parse_capture
from nvtopo.sources.foreign import not_read, other_matrices
from nvtopo.sources.foreign.given import Given

_ROOT_ELEMENT = re.compile(r"\s{0,64}(?:<[?!][^>]{0,4096}>\s{0,64}){0,16}<([A-Za-z_][A-Za-z0-9_:.-]{0,63})")
_SMI_ERROR = re.compile(
    r"(Unable to determine the device handle.{0,120}|"
    r"NVIDIA-SMI has failed.{0,120}|ERROR: .{0,120}|Failed to initialize NVML.{0,80}|No devices were found)"
)
_MOST_LOOKED_AT = 1 << 16


def refusal(given: Given, expected: str) -> ParseError:
    """The error for a file that no reader takes."""
    if given.content.lstrip()[:1] == b"{":
        try:
            parse_capture(given.content, given.name)
        except ParseError as error:
            return error
    return given.refused(_found(given), expected)


def _found(given: Given) -> str:
    """What the file seems to be."""
    if not given.content.strip():
        return "an empty file"
    if not given.is_text:
        return "binary data"
    text = given.text[:_MOST_LOOKED_AT]
    return next(
        (found for tell in (_root, other_matrices.named, _tools_error, not_read.named) if (found := tell(given))), ""
    ) or (_FABRIC_MANAGER if any(words in text for words in _FABRIC_MANAGER_WORDS) else _beginning(text))


def _beginning(text: str) -> str:
    return f"text that starts with {text.strip()[:60]!r}"


def _root(given: Given) -> str:
    root = _ROOT_ELEMENT.match(given.text[:_MOST_LOOKED_AT])
    return "" if root is None else _KNOWN_ROOTS.get(root[1], f"an XML document <{root[1]}>")


def _tools_error(given: Given) -> str:
    error = _SMI_ERROR.search(given.text[:_MOST_LOOKED_AT])
    return f"an error of the tool: {error[1]!r}" if error else ""


_FABRIC_MANAGER = "a log of the fabric manager, which states no topology"
_FABRIC_MANAGER_WORDS = ("Fabric Manager", "fabric manager", "multicast team", "inband message")
_KNOWN_ROOTS = {
    "graphs": "NCCL's <graphs>, which holds the rings and trees of a run and no topology",
    "html": "a web page",
}
