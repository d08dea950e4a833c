"""The kernel's list format (``0-3,8``): CPU lists, and lists of link numbers folded the same way."""

import re
from collections.abc import Iterable

_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?")
#: Far above any kernel's NR_CPUS; a list from another node must not cost memory.
_HIGHEST = 1 << 20


def parse_cpulist(text: str) -> tuple[int, ...]:
    """The numbers of ``text`` in ascending order; an empty list is a valid list.

    Raises:
        ValueError: ``text`` is not in the kernel's list format.
    """
    numbers: set[int] = set()
    for part in text.strip().split(","):
        if not part:
            continue
        match = _RANGE.fullmatch(part)
        if match is None:
            raise ValueError(f"list: expected numbers and ranges such as '0-3,8', got {text!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        if last > _HIGHEST:
            raise ValueError(f"list: expected numbers up to {_HIGHEST}, got {text!r}")
        numbers.update(range(first, last + 1))
    return tuple(sorted(numbers))


def format_cpulist(numbers: Iterable[int]) -> str:
    """The shortest list in the kernel's format, ascending."""
    ranges: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
