"""When a difference from what is expected counts as drift: a state machine without I/O, with the time as an argument.

A difference must last before it is drift, and be away as long before it is none. A node that has just booted has a
grace, since links, ports and versions still come up. A node that is away on purpose, cordoned or deleted, drifts in
nothing. The same machine serves nodes, and groups of nodes that differ from their peers.
"""

from collections.abc import Iterable
from typing import NamedTuple

from nvtopo.cluster.traits import Fact
from nvtopo.model.changes.change import Change


class Timing(NamedTuple):
    """How long is long enough, in seconds."""

    debounce_seconds: float = 60.0
    grace_seconds: float = 600.0
    """After a node appeared, was heard again, or came back from maintenance."""


class Sight(NamedTuple):
    """What is seen of a node or group at one moment."""

    differences: tuple[Change, ...] = ()
    """From what is expected."""
    booting: bool = False
    """It has not finished booting, so its grace has not begun to run out."""
    planned: bool = False
    """It is in maintenance."""
    heard: bool = True
    """False if nothing new is known of it."""


class _Held(NamedTuple):
    """A difference that is watched."""

    change: Change
    since: float
    """Since when it is as it is now, seen or not seen."""
    seen: bool
    drift: bool


class _Watched:
    """What is kept of one node, rack or domain."""

    def __init__(self, grace_until: float) -> None:
        self.grace_until = grace_until
        self.away = False
        self.held: dict[Fact, _Held] = {}


class Drifts:
    """Everything that drifts. Moments are seconds of one clock."""

    def __init__(self, timing: Timing | None = None) -> None:
        """Nothing is known yet."""
        self._timing = timing or Timing()
        self._watched: dict[str, _Watched] = {}
        self._unsettled: set[str] = set()
        self._drifting: dict[str, tuple[Change, ...]] = {}

    @property
    def drifting(self) -> dict[str, tuple[Change, ...]]:
        """What drifts, in the order of names, and in what."""
        return dict(sorted(self._drifting.items()))

    def see(self, name: str, sight: Sight | None, now: float, *, first: bool = False, lasted: bool = False) -> None:
        """Takes in what is seen now; None for what is gone.

        ``first`` says that this is the first look at everything: nobody has just appeared. ``lasted`` says that it is
        known to have drifted before: what differs now counts at once.
        """
        if sight is None:
            self._watched.pop(name, None)
            self._unsettled.add(name)
            return
        watched = self._watched.get(name)
        if watched is None:
            watched = self._watched[name] = _Watched(now if first else now + self._timing.grace_seconds)
        self._unsettled.add(name)
        if sight.planned or not sight.heard:
            watched.away = True
            if sight.planned:
                watched.held = {}
            return
        if sight.booting or watched.away:
            watched.grace_until = now + self._timing.grace_seconds
        watched.away = False
        self._hold(watched, sight.differences, now, at_once=lasted and not sight.booting)

    def tick(self, now: float) -> frozenset[str]:
        """What drifts otherwise than before, as time passed."""
        changed = set()
        for name in tuple(self._unsettled):
            if self._settle(name, now):
                self._unsettled.discard(name)
            found = self._found(name)
            if found != self._drifting.get(name, ()):
                changed.add(name)
                if found:
                    self._drifting[name] = found
                else:
                    del self._drifting[name]
        return frozenset(changed)

    @staticmethod
    def _hold(watched: _Watched, differences: Iterable[Change], now: float, *, at_once: bool) -> None:
        seen = {Fact(change.kind, change.subject, change.path): change for change in differences}
        for fact, change in seen.items():
            held = watched.held.get(fact)
            if held is None:
                watched.held[fact] = _Held(change, now, seen=True, drift=at_once)
            elif not held.seen:
                watched.held[fact] = held._replace(change=change, since=now, seen=True)
            else:
                watched.held[fact] = held._replace(change=change)
        for fact, held in watched.held.items():
            if fact not in seen and held.seen:
                watched.held[fact] = held._replace(since=now, seen=False)

    def _settle(self, name: str, now: float) -> bool:
        """Counts what lasted; whether nothing is left that time alone would change."""
        watched = self._watched.get(name)
        if watched is None or watched.away:
            return True
        debounce, settled = self._timing.debounce_seconds, True
        for fact, held in tuple(watched.held.items()):
            lasted = now - held.since >= debounce
            if held.seen and not held.drift:
                drift = lasted and now >= watched.grace_until
                watched.held[fact] = held._replace(drift=drift)
                settled &= drift
            elif not held.seen and (lasted or not held.drift):
                del watched.held[fact]
            elif not held.seen:
                settled = False
        return settled

    def _found(self, name: str) -> tuple[Change, ...]:
        watched = self._watched.get(name)
        if watched is None:
            return ()
        return tuple(held.change for _, held in sorted(watched.held.items()) if held.drift)
