"""Which ResourceSlice is written next, and when: a state machine without I/O, clock or thread. Moments are monotonic.

A slice is created or changed only while the kubelet knows our plugin: without it, pods are bound and can't start. At
its start the kubelet deletes every slice of its node; what is deleted is written again.
"""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

from nvtopo.kube.own_slices import Present
from nvtopo.runtime.backoff import Backoff

#: So long after a write of a slice nothing more is written of it: the watch shows it meanwhile, and whoever deletes it
#: again and again causes no storm.
_SETTLE_SECONDS: Final = 1.0
#: What another writes over ours is mended after so long: while a new version of the plugin replaces this one, both run,
#: and the new one is right.
_FOREIGN_SECONDS: Final = 30.0
#: An agent writes the NodeTopology at least once a minute; a node without one for so long has no agent.
_LINGER_SECONDS: Final = 180.0
_FIRST_RETRY_SECONDS: Final = 0.5
_LONGEST_RETRY_SECONDS: Final = 60.0


class Create(NamedTuple):
    """There is no such slice."""

    name: str


class Replace(NamedTuple):
    """The slice exists with other content."""

    name: str
    present: Present


class Delete(NamedTuple):
    """The node has nothing more to say in it."""

    name: str


class Wait(NamedTuple):
    """Until then, or until something happens."""

    until: float = math.inf


Action = Create | Replace | Delete | Wait


class PublishPolicy:
    """One node's slices."""

    def __init__(self, backoff: Backoff | None = None) -> None:
        self._backoff = backoff or Backoff(_FIRST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS)
        self._registered = False
        self._wanted: Mapping[str, bytes] | None = None
        self._present: dict[str, Present] | None = None
        self._withdraw_at = math.inf
        self._retry_at = -math.inf
        self._settled_at: dict[str, float] = {}
        self._failing = False

    def registered(self, *, known: bool) -> None:
        """Whether the kubelet knows the plugin. What stands is left if it does not: the kubelet deletes it itself."""
        self._registered = known

    def want(self, wanted: Mapping[str, bytes]) -> None:
        """All slices that should be there: name → what each says."""
        self._wanted = wanted
        self._withdraw_at = math.inf

    def lose(self, now: float) -> None:
        """The node has no NodeTopology any more. It may come again; if it does not, nothing is published."""
        self._withdraw_at = min(self._withdraw_at, now + _LINGER_SECONDS)

    def stand(self, present: Mapping[str, Present]) -> None:
        """All slices that are there."""
        self._present = {**present}

    def changed(self, name: str, present: Present | None, now: float) -> None:
        """A slice is like this now; None if it is gone."""
        if self._present is None:
            return
        before = self._present.get(name)
        if present is not None and before is not None and self._foreign(name, before, present):
            self._settled_at[name] = now + _FOREIGN_SECONDS
        if present is None:
            self._present.pop(name, None)
        else:
            self._present[name] = present

    def next(self, now: float) -> Action:
        """The next action."""
        wanted = {} if now >= self._withdraw_at else self._wanted
        if not self._registered or wanted is None or self._present is None:
            return Wait(self._withdraw_at if now < self._withdraw_at else math.inf)
        if now < self._retry_at:
            return Wait(self._retry_at)
        due = self._due(wanted, self._present)
        ready = [action for name, action in due.items() if now >= self._settled_at.get(name, -math.inf)]
        if ready:
            return ready[0]
        later = self._withdraw_at if now < self._withdraw_at else math.inf
        return Wait(min((self._settled_at[name] for name in due), default=later))

    def wrote(self, name: str, now: float) -> bool:
        """The action on this slice succeeded. Return whether one before had failed."""
        self._settled_at = {one: at for one, at in self._settled_at.items() if at > now} | {name: now + _SETTLE_SECONDS}
        self._backoff.reset()
        failing, self._failing = self._failing, False
        return failing

    def failed(self, now: float, retry_after: float = 0.0) -> bool:
        """It failed; the server asked for ``retry_after`` seconds. Return whether it is the first in a row."""
        self._retry_at = now + self._backoff.delay(retry_after)
        first, self._failing = not self._failing, True
        return first

    def _foreign(self, name: str, before: Present, present: Present) -> bool:
        """Whether it was as it should be, and another one changed that."""
        wanted = (self._wanted or {}).get(name)
        return before.content == wanted != present.content

    @staticmethod
    def _due(wanted: Mapping[str, bytes], present: Mapping[str, Present]) -> dict[str, Create | Replace | Delete]:
        """What differs: new and changed ones before those that go."""
        due: dict[str, Create | Replace | Delete] = {}
        for name in sorted(wanted):
            if name not in present:
                due[name] = Create(name)
            elif present[name].content != wanted[name]:
                due[name] = Replace(name, present[name])
        return due | {name: Delete(name) for name in sorted(present.keys() - wanted.keys())}
