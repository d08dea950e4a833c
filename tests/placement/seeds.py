"""Chance that is the same each time."""

from random import Random


def seeded(seed: int) -> Random:
    """A source of chance."""
    return Random(seed)  # noqa: S311 - nothing secret
