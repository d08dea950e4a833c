"""What a file is that holds no topology, in words for the one line that refuses it."""

import re

from nvtopo.errors import ParseError
from nvtopo.sources.capture import parse_capture
from nvtopo.sources.foreign.given import Given

_ROOT_ELEMENT = re.compile(r"\s{0,64}(?:<[?!][^>]{0,4096}>\s{0,64}){0,16}<([A-Za-z_][A-Za-z0-9_:.-]{0,63})")
_SMI_ERROR = re.compile(
    r"(NVIDIA-SMI has failed.{0,120}|ERROR: .{0,120}|Failed to initialize NVML.{0,80}|No devices were found)"
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
    """What it is, as far as that can be told."""
    if not given.content.strip():
        return "an empty file"
    if b"\x00" in given.content[:_MOST_LOOKED_AT] and not given.is_utf16:
        return "binary data"
    text = given.text[:_MOST_LOOKED_AT]
    root = _ROOT_ELEMENT.match(text)
    if root is not None:
        return _KNOWN_ROOTS.get(root[1], f"an XML document <{root[1]}>")
    error = _SMI_ERROR.search(text)
    if error is not None:
        return f"an error of the tool: {error[1]!r}"
    if any(words in text for words in ("Fabric Manager", "fabric manager", "multicast team", "inband message")):
        return "a log of the fabric manager, which states no topology"
    return f"text that starts with {text.strip()[:60]!r}"


_KNOWN_ROOTS = {
    "graphs": "NCCL's <graphs>, which holds the rings and trees of a run and no topology",
    "html": "a web page",
}
