"""``Buckets``: which domains have which key, such that the one with the least key is found without looking at others.

A set of domains is one integer, a bit for each; the keys in use are one integer too. Both the least key and the first
domain that has it are a lowest bit, so an answer takes as long in a fleet of 100,000 GPUs as the integers are wide.
"""

from collections.abc import Iterator


class Buckets:
    """Domains by key; keys are small non-negative integers."""

    __slots__ = ("_keys", "_members", "_used")

    def __init__(self, keys: Iterator[int | None]) -> None:
        self._keys = list(keys)
        self._members: dict[int, int] = {}
        self._used = 0
        for number, key in enumerate(self._keys):
            if key is not None:
                self._members[key] = self._members.get(key, 0) | 1 << number
                self._used |= 1 << key

    def move(self, number: int, key: int | None) -> None:
        """Domain ``number`` has another key now; None if it is none of these any more."""
        before = self._keys[number]
        if before == key:
            return
        self._keys[number] = key
        bit = 1 << number
        if before is not None:
            left = self._members[before] ^ bit
            if left:
                self._members[before] = left
            else:
                del self._members[before]
                self._used ^= 1 << before
        if key is not None:
            self._members[key] = self._members.get(key, 0) | bit
            self._used |= 1 << key

    def least(self, above: int = 0) -> tuple[int, int] | None:
        """The least key that is at least ``above``, and the first domain that has it."""
        used = self._used >> above
        if not used:
            return None
        key = above + (used & -used).bit_length() - 1
        members = self._members[key]
        return key, (members & -members).bit_length() - 1

    def counts(self) -> Iterator[tuple[int, int]]:
        """Keys, the largest first, and how many domains have each."""
        used = self._used
        while used:
            key = used.bit_length() - 1
            used ^= 1 << key
            yield key, self._members[key].bit_count()

    def first(self, key: int, count: int) -> Iterator[int]:
        """The first ``count`` domains that have a key."""
        members = self._members[key]
        for _number in range(count):
            lowest = members & -members
            yield lowest.bit_length() - 1
            members ^= lowest
