"""A mapping that is read in order, and costs its order only when it is read through."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from immutables import Map

V = TypeVar("V")


class Ordered(Mapping[str, V]):
    """A persistent map, in the order of ``key``."""

    __slots__ = ("_key", "_map", "_names")

    def __init__(self, found: Map[str, V], key: Callable[[str], Any], names: tuple[str, ...] | None = None) -> None:
        """``names`` are the keys in order, if they are known."""
        self._map = found
        self._key = key
        self._names = names

    @property
    def map(self) -> Map[str, V]:
        """Without order, for the next change."""
        return self._map

    @property
    def names(self) -> tuple[str, ...] | None:
        """The keys in order, if somebody asked for them before."""
        return self._names

    def __getitem__(self, name: str) -> V:
        return self._map[name]

    def __contains__(self, name: object) -> bool:
        return name in self._map

    def __len__(self) -> int:
        return len(self._map)

    def __iter__(self) -> Iterator[str]:
        if self._names is None:
            self._names = tuple(sorted(self._map, key=self._key))
        return iter(self._names)

    def __eq__(self, other: object) -> bool:
        return dict(self) == dict(other) if isinstance(other, Mapping) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._map)

    def __repr__(self) -> str:
        return repr(dict(self))
