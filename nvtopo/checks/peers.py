"""Like compared with like: which of several values most have, so that the others stand out."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


def common(values: Iterable[T]) -> T | None:
    """What more than half have; None if no value is that common."""
    counts = Counter(values)
    if not counts:
        return None
    value, count = counts.most_common(1)[0]
    return value if 2 * count > counts.total() else None


def counted(values: Iterable[T]) -> str:
    """``7 x 9000, 1 x 1500``: the most common first."""
    ordered = sorted(Counter(values).items(), key=lambda entry: (-entry[1], str(entry[0])))
    return ", ".join(f"{count} x {value}" for value, count in ordered)


def odd(values: Mapping[str, T]) -> dict[str, T]:
    """Subject → value, of those that differ from what most have; empty if nothing is common, or nobody differs."""
    most = common(values.values())
    return {} if most is None else {subject: value for subject, value in values.items() if value != most}
