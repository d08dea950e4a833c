"""What must hold of statuses and generations while leaders come and go: violations as lines, none if all is well.

A node's facts are numbered by the version of its driver: ``v17`` is what the 17th change made of it.
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

Json = dict[str, Any]


def version(number: int) -> str:
    """The driver's version after so many changes."""
    return f"v{number}"


def number_of(entry: Json, side: str) -> int | None:
    """Of one side of an entry of the history; None if it is of something else."""
    text = str(entry.get(side, "")).strip('"')
    numbered = entry.get("path") == "driverVersion" and text[:1] == "v" and text[1:].isdecimal()
    return int(text[1:]) if numbered else None


def of_history(name: str, entries: Iterable[Json], last: int) -> list[str]:
    """The driver's versions in the history of one node: each change once, none missing, up to the last one."""
    seen: dict[tuple[int, int], list[str]] = {}
    for entry in entries:
        before, after = (number_of(entry, side) for side in ("before", "after"))
        if before is not None and after is not None:
            seen.setdefault((before, after), []).append(str(entry.get("at")))
    steps = sorted(seen)
    wrong = [f"{name}: the history says {step} at {' and '.join(at)}" for step, at in seen.items() if len(at) > 1]
    wrong += [
        f"{name}: the history goes on from {one[1]} with {other[0]}"
        for one, other in pairwise(steps)
        if one[1] != other[0]
    ]
    if last and (not steps or max(after for _, after in steps) != last):
        wrong.append(f"{name}: the history ends with {steps[-1:]}, expected version {last}")
    return wrong


class Watched:
    """What was seen of each object, one after the other."""

    def __init__(self) -> None:
        self._identifiers: dict[str, Any] = {}
        self._latest: dict[str, int] = {}
        self.writes = 0
        """How often a status became another one."""
        self._statuses: dict[str, Json] = {}
        self.wrong: list[str] = []

    def see(self, name: str, status: Json) -> None:
        """The next state of an object."""
        if status == self._statuses.get(name, {}):
            return
        self.writes += 1
        self._statuses[name] = status
        identifiers = status.get("identifiers")
        if identifiers is not None and identifiers != self._identifiers.setdefault(name, identifiers):
            self.wrong.append(f"{name}: identifiers {self._identifiers[name]} became {identifiers}")
        numbers = [number for entry in status.get("history", ()) if (number := number_of(entry, "after")) is not None]
        latest = max(numbers, default=0)
        if latest < self._latest.get(name, 0):
            self.wrong.append(f"{name}: the history went back from {self._latest[name]} to {latest}")
        self._latest[name] = max(latest, self._latest.get(name, 0))


class Generations:
    """What one replica answered, life after life."""

    def __init__(self, replica: str) -> None:
        self._replica = replica
        self._latest = 0
        self.answers = 0
        self.wrong: list[str] = []

    def see(self, generation: int) -> None:
        """The next answer."""
        self.answers += 1
        if generation < self._latest:
            self.wrong.append(f"{self._replica}: generation {self._latest} was followed by {generation}")
        self._latest = max(self._latest, generation)


def of_statuses(found: Mapping[str, Json], wanted: Mapping[str, Json]) -> list[str]:
    """Every node has what is concluded of its facts as they are now."""
    return [
        f"{name}: {key} is {found.get(name, {}).get(key)}, expected {value}"
        for name, status in wanted.items()
        for key, value in status.items()
        if found.get(name, {}).get(key) != value
    ]
