"""A file as it was handed in: its bytes, and its text as terminals, logs and issue trackers leave it."""

import re
from functools import cached_property

from nvtopo.errors import ParseError
from nvtopo.model.record import Problem

#: SGR and erase sequences. Trackers drop the ESC byte, replace it by U+FFFD, or spell it out.
_ESCAPE = re.compile(r"(?:\x1b|\ufffd|\u241b|\\u001b|\\ufffd|\\x1b|\\033|\\e|\^\[)?\[[0-9;]{0,16}[mK]")
#: What a shell on Windows puts before redirected output.
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
#: A device map of a 16-GPU board with 64 NICs has 80; a cluster's worth of them is not one node.
MOST_DEVICES = 512


class Given:
    """What was handed in, and where it came from."""

    def __init__(self, content: bytes, name: str) -> None:
        self.content = content
        self.name = name

    @property
    def is_utf16(self) -> bool:
        """Whether a shell on Windows wrote it."""
        return self.content.startswith(_UTF16_MARKS)

    @cached_property
    def text(self) -> str:
        """The text, without colours; bytes that are no text become U+FFFD."""
        encoding = "utf-16" if self.is_utf16 else "utf-8-sig"
        text = self.content.decode(encoding, "replace")
        if "\\tGPU" in text or text.count("\\n") > text.count("\n"):
            text = text.replace("\\n", "\n").replace("\\t", "\t")  # a log that quotes what it heard
        return _ESCAPE.sub("", text) if "[" in text else text

    @cached_property
    def lines(self) -> list[str]:
        """The lines, without what ends them."""
        return [line.rstrip("\r") for line in self.text.split("\n")]

    def refused(self, found: str, expected: str) -> ParseError:
        """The error for content that can't be read as a node."""
        return ParseError(f"{self.name}: expected {expected}, got {found}")


class Notes:
    """Collects what a reader could not read; in the end a tuple of problems, each once."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._seen: dict[Problem, None] = {}

    def add(self, subject: str, reason: str) -> None:
        """Note that something should have been there and was not."""
        self._seen[Problem(source=self._source, subject=subject, reason=reason)] = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything noted, in natural order."""
        return tuple(sorted(self._seen, key=lambda problem: (problem.source, problem.subject, problem.reason)))
