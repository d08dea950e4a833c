"""Slurm's hostlists: ``n[1-3,7]``, ``rack[0-1]node[00-15]``, ``a1,b[1-2]-ib``. Order and padding are kept."""

import re
from collections.abc import Iterator
from itertools import product
from typing import Final

from nvtopo.fabrics.refused import Refused

MOST_NAMES: Final = 500_000
_LONGEST: Final = 1 << 20
_LONGEST_NAME: Final = 253
_RANGE: Final = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")
_PARTS: Final = re.compile(r"\[([^\[\]]*)\]|([^\[\]]+)")


class Expander:
    """Expands the hostlists of one document, which together name at most ``MOST_NAMES``."""

    def __init__(self) -> None:
        self._left = MOST_NAMES

    def __call__(self, text: str) -> tuple[str, ...]:
        """All names of one of them; Refused as ``expand`` does."""
        names = expand(text, self._left)
        self._left -= len(names)
        return names


def expand(text: str, most: int = MOST_NAMES) -> tuple[str, ...]:
    """All names.

    Raises:
        Refused: it is no hostlist, or names too many.
    """
    if len(text) > _LONGEST:
        raise Refused(f"expected a hostlist of at most {_LONGEST} characters, got {len(text)}")
    names: list[str] = []
    for item in _items(text):
        names.extend(_expanded(item, most - len(names)))
    return tuple(names)


def _items(text: str) -> Iterator[str]:
    """Split at commas outside of brackets."""
    depth, begun = 0, 0
    for at, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if depth not in (0, 1):
            raise Refused(f"expected a hostlist such as n[1-4], got unbalanced brackets in {_short(text)!r}")
        if letter == "," and not depth:
            yield text[begun:at].strip()
            begun = at + 1
    if depth:
        raise Refused(f"expected a hostlist such as n[1-4], got unbalanced brackets in {_short(text)!r}")
    yield text[begun:].strip()


def _expanded(item: str, left: int) -> Iterator[str]:
    if not item:
        return
    parts: list[list[str]] = []
    total = 1
    for numbers, plain in _PARTS.findall(item):
        parts.append([plain] if plain else _numbers(numbers, item, left))
        total *= len(parts[-1])
        if total > left:
            raise Refused(f"expected at most {MOST_NAMES} names, {_short(item)!r} makes more")
    for combination in product(*parts):
        name = "".join(combination)
        if len(name) > _LONGEST_NAME or not name.isprintable() or " " in name:
            raise Refused(f"expected a name, got {_short(name)!r}")
        yield name


def _numbers(text: str, item: str, left: int) -> list[str]:
    found: list[str] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise Refused(f"expected numbers such as [1-4,7], got {_short(item)!r}")
        low, high = match[1], match[2] or match[1]
        if int(high) < int(low):
            raise Refused(f"expected a range that goes up, got {part.strip()} in {_short(item)!r}")
        if int(high) - int(low) >= left:
            raise Refused(f"expected at most {MOST_NAMES} names, {_short(item)!r} makes more")
        found += [f"{number:0{len(low)}}" for number in range(int(low), int(high) + 1)]
    return found


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - what fits in a message
