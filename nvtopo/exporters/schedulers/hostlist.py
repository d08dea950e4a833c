"""Slurm's host lists: ``n[00-17],gpu-a``. Only runs of one width are folded, so each name comes back as it was."""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

_NUMBERED: Final = re.compile(r"^(.*?)([0-9]+)$", re.ASCII)
#: Slurm refuses more elements in one list; 64 Ki is its own limit (MAX_RANGE).
_LONGEST_NUMBER: Final = 9
_NO_NUMBER: Final = -1
#: Slurm splits lines at blanks, and lists at commas and brackets.
_FIT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: Words that mean all nodes, or values for all.
_TAKEN: Final = ("all", "default")


def is_fit(name: str) -> bool:
    """Whether Slurm can have a node of that name."""
    return _FIT.fullmatch(name) is not None and name.lower() not in _TAKEN


def folded(names: Iterable[str]) -> str:
    """The names as one host list, in their order."""
    return ",".join(_runs(list(names)))


def _runs(names: list[str]) -> Iterator[str]:
    parts = [_split(name) for name in names]
    for (prefix, width), group in groupby(parts, key=lambda part: part[:2]):
        numbers = [number for _prefix, _width, number in group]
        if width == _NO_NUMBER:
            yield from [prefix] * len(numbers)
        else:
            yield _ranges(prefix, width, numbers)


def _split(name: str) -> tuple[str, int, int]:
    """Prefix, width of the number, and the number. A number without leading zeros has width 0: 9 and 10 are one run."""
    found = _NUMBERED.match(name)
    if found is None or len(found[2]) > _LONGEST_NUMBER or any(sign in name for sign in "[],"):
        return name, _NO_NUMBER, 0
    digits = found[2]
    padded = len(digits) if digits[0] == "0" and len(digits) > 1 else 0
    return found[1], padded, int(digits)


def _ranges(prefix: str, width: int, numbers: list[int]) -> str:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1 and _same_width(width, number):
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [f"{run[0]:0{width}}" if len(run) == 1 else f"{run[0]:0{width}}-{run[-1]:0{width}}" for run in runs]
    return prefix + texts[0] if texts == [f"{numbers[0]:0{width}}"] else f"{prefix}[{','.join(texts)}]"


def _same_width(width: int, number: int) -> bool:
    """Whether padding still fits: after 099 of width 3 comes 100, which has no leading zero and is a name as well."""
    return not width or len(str(number)) <= width
