"""Many names in one line."""

from collections.abc import Sequence


def listed(names: Sequence[str], most: int) -> str:
    """The first of these names, and how many more there are: ``a, b and 3 more``."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
