"""What stands before each line of an output, whatever put it there: a quote, a log, a list of hosts, an indentation.

No list of loggers is kept: a landmark says where the output begins in its line, and what stands before it says what
stands before the lines around it.
"""

import re
from collections import Counter
from typing import Final, NamedTuple

from nvtopo.sources.foreign.landmarks import landmark

_TOKEN: Final = re.compile(r"[0-9]+|[A-Za-z]+|\s+|[^0-9A-Za-z\s]")
_QUOTES: Final = "\"'`"
_MOST_SHAPES: Final = 256
_MOST_TRIED: Final = 8


class Line(NamedTuple):
    """A line and what was before it."""

    prefix: str
    body: str
    kind: str
    """What output the line alone shows; empty for the others."""


def stripped(lines: list[str]) -> list[Line]:
    """The lines without what stands before them."""
    marks = [landmark(line) for line in lines]
    if not any(mark is not None and mark.start for mark in marks):
        return [Line("", line, mark.kind if mark else "") for line, mark in zip(lines, marks, strict=True)]
    prefixes = [None if mark is None else line[: mark.start] for line, mark in zip(lines, marks, strict=True)]
    shapes = _Shapes()
    common = [prefix for prefix, _ in Counter(prefix for prefix in prefixes if prefix).most_common(_MOST_TRIED)]
    before, after = _nearest(prefixes), _nearest(prefixes[::-1])[::-1]
    result = []
    for line, mark, one, other in zip(lines, marks, before, after, strict=True):
        near = (one[0], other[0]) if one[1] < other[1] else (other[0], one[0])
        tried = near if near[0] == near[1] else (*near, *common)
        prefix = line[: mark.start] if mark else next((found for p in tried if (found := shapes.at(line, p))), "")
        body = line[len(prefix) :]
        result.append(Line(prefix, _unquoted(body, prefix), mark.kind if mark else ""))
    return result


def _nearest(prefixes: list[str | None]) -> list[tuple[str, int]]:
    """For each line the prefix of the last landmark, and how many lines ago that was."""
    found = []
    last, age = "", len(prefixes) + 1
    for prefix in prefixes:
        last, age = (last, age + 1) if prefix is None else (prefix, 0)
        found.append((last, age))
    return found


def _unquoted(body: str, prefix: str) -> str:
    """Without the quote that closes what a quote before it opened."""
    if prefix[-1:] in _QUOTES and prefix:
        return re.sub(rf"(?:\\n)?{prefix[-1]}[,;)\]]{{0,3}}\s*$", "", body)
    return body


class _Shapes:
    """Prefixes as patterns: other digits, other words, as much blank as the last one has."""

    def __init__(self) -> None:
        self._patterns: dict[str, re.Pattern[str]] = {}

    def at(self, line: str, prefix: str) -> str:
        """What of the line has the shape of the prefix; also where nothing follows it."""
        if not prefix:
            return ""
        if len(self._patterns) > _MOST_SHAPES:
            self._patterns.clear()
        pattern = self._patterns.get(prefix) or self._patterns.setdefault(prefix, _pattern(prefix))
        match = pattern.match(line)
        if match is None and prefix.strip() and line and len(line) <= len(prefix):
            match = pattern.fullmatch(line + prefix[len(prefix.rstrip()) :])
            return line if match else ""
        return match[0] if match else ""


def _pattern(prefix: str) -> re.Pattern[str]:
    tokens = _TOKEN.findall(prefix)
    last = len(tokens) - 1
    return re.compile("".join(_token(token, last=position == last) for position, token in enumerate(tokens)))


def _token(token: str, *, last: bool) -> str:
    if token.isdigit() and token.isascii():
        return "[0-9]{1,30}"
    if token.isalpha() and token.isascii():
        return "[A-Za-z]{1,80}"
    if token.isspace():
        return re.escape(token) if last else r"\s{1,40}"
    return re.escape(token)
