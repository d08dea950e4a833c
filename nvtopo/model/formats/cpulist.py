"""The kernel's list format (``0-3,8``): CPU lists, and lists of link numbers folded the same way."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from nvtopo.model.formats.limits import HIGHEST_CPU

_RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", re.ASCII)


def parse_cpulist(text: str) -> tuple[int, ...]:
    """The numbers of ``text`` in ascending order; an empty list is a valid list.

    Raises:
        ValueError: ``text`` is not in the kernel's list format.
    """
    return tuple(number for first, last in ranges(text) for number in range(first, last + 1))


@lru_cache(maxsize=1024)
def count(text: str) -> int:
    """How many numbers are in ``text``.

    Raises:
        ValueError: ``text`` is not in the kernel's list format.
    """
    return sum(last + 1 - first for first, last in ranges(text))


def ranges(text: str) -> list[tuple[int, int]]:
    """The first and the last number of each range, ascending and apart: however long the text, few numbers follow.

    Raises:
        ValueError: ``text`` is not in the kernel's list format, or a number is higher than any CPU's.
    """
    found: list[tuple[int, int]] = []
    for first, last in sorted(_stated(text)):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


def _stated(text: str) -> Iterator[tuple[int, int]]:
    for part in text.strip().split(","):
        if not part:
            continue
        match = _RANGE.fullmatch(part)
        if match is None:
            raise ValueError(f"list: expected numbers and ranges such as '0-3,8', got {_quoted(text)}")
        first, last = int(match[1]), int(match[2] or match[1])
        if max(first, last) > HIGHEST_CPU:
            raise ValueError(f"list: expected numbers up to {HIGHEST_CPU}, got {_quoted(text)}")
        if first <= last:
            yield first, last


_LONGEST_QUOTE = 80


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…")


def format_cpulist(numbers: Iterable[int]) -> str:
    """The shortest list in the kernel's format, ascending."""
    spans: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if spans and spans[-1][1] == number - 1:
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
