"""Which neighbours are heard now: a state machine without I/O. The time is an argument."""

from typing import Final

from nvtopo.model.formats import limits
from nvtopo.model.formats.lldp import Frame
from nvtopo.model.records.facts import Neighbor

MOST_OF_PORT: Final = 8
"""A port hears its switch; behind a bridge that passes such frames on, others too. Who comes later is left out."""

_Key = tuple[str, str, str, str, str]


class LldpTable:
    """Not for several threads at once."""

    def __init__(self) -> None:
        self._heard: dict[_Key, tuple[Neighbor, float]] = {}

    def hear(self, netdev: str, frame: Frame, now: float) -> bool:
        """An announcement on a port; whether anything is otherwise now."""
        key = (netdev, *frame.chassis, *frame.port)
        known = self._heard.get(key)
        if frame.ttl_seconds == 0:
            return self._heard.pop(key, None) is not None
        if known is None and not self._has_room(netdev):
            return False
        said = _neighbor(netdev, frame)
        self._heard[key] = said, now + frame.ttl_seconds
        return known is None or known[0] != said

    def expire(self, now: float, present: frozenset[str]) -> bool:
        """Forget whose time is over, and who was heard on a port that is not there; whether there were any."""
        over = [key for key, (_, until) in self._heard.items() if until <= now or key[0] not in present]
        for key in over:
            del self._heard[key]
        return bool(over)

    def until(self) -> float | None:
        """When the next one's time is over."""
        return min((until for _, until in self._heard.values()), default=None)

    def neighbors(self) -> tuple[Neighbor, ...]:
        """All that are heard, in order."""
        return tuple(neighbor for _, (neighbor, _) in sorted(self._heard.items()))

    def _has_room(self, netdev: str) -> bool:
        on_port = sum(key[0] == netdev for key in self._heard)
        return on_port < MOST_OF_PORT and len(self._heard) < limits.MOST_NEIGHBORS


def _neighbor(netdev: str, frame: Frame) -> Neighbor:
    return Neighbor(
        netdev=_cut(netdev),
        chassis=_cut(" ".join(frame.chassis)),
        port_kind=frame.port.kind,
        port=_cut(frame.port.value),
        name=_cut(frame.name),
        system=_cut(frame.system),
        port_description=_cut(frame.port_description),
        capabilities=frame.capabilities,
    )


def _cut(text: str) -> str:
    return text[: limits.LONGEST_NAME]
