"""Whether a change is a loss: less of something, or something that works no longer. Another version is none."""

from typing import Any, Final

from nvtopo.model.changes.change import Change
from nvtopo.model.formats.cpulist import parse_cpulist
from nvtopo.model.records.nvlinks import USABLE_STATES

FULL: Final = "full"
"""The link of a NIC that uses all that both ends support."""

_UP: Final = ("ACTIVE", "ACTIVE_DEFER", "up")
#: Numbers that name something: a larger one is not more.
_NAMES: Final = ("gidIndex", "ucxGidIndex", "index", "moduleId", "numaNode", "memoryNumaNode")
#: Facts that are there only while something is wrong.
_WRONG: Final = ("recoveryAction", "memoryRepair", "nvlinkShort", "nvlinkP2P", "hiddenBy")


def is_loss(change: Change) -> bool:
    """What is not known is no loss."""
    if change.kind == "problems":
        return change.new
    if change.new or change.gone:
        return change.gone
    return _of_fact(change)


def _of_fact(change: Change) -> bool:
    before, after, leaf = change.before, change.after, change.path.rpartition(".")[2]
    if change.kind == "nics" and change.within("link"):
        return before in (None, FULL) or _less(before, after)
    if leaf in _WRONG:
        return bool(after)
    if change.path == "nvlinkDomain":
        return after is None
    if change.path == "nvlinks.state":
        return bool(_usable(before) - _usable(after, None))
    if leaf in ("state", "operstate"):
        return before in _UP and after not in (*_UP, None, "")
    return leaf not in _NAMES and _less(before, after)


def _less(before: Any, after: Any) -> bool:
    numbers = (int, float)
    known = isinstance(before, numbers) and isinstance(after, numbers)
    return known and not isinstance(before, bool) and not isinstance(after, bool) and after < before


def _usable(states: Any, *also: str | None) -> set[int]:
    """The links that can carry traffic, or are in another of these states."""
    items = states.items() if isinstance(states, dict) else ()
    return {link for links, state in items if state in (*USABLE_STATES, *also) for link in parse_cpulist(links)}
