"""What changed since a baseline: facts of the node, and those that only a capture has (modules, NUMA balancing)."""

from collections.abc import Iterator
from typing import Final

import msgspec

from nvtopo.checks.check import Machine
from nvtopo.model.changes.change import Change
from nvtopo.model.changes.topology import changes

_HOST: Final = ("nvidia_module", "gpu_modules", "numa_balancing", "governors")
_UNKNOWN: Final = (None, "", ())


def since(before: Machine, after: Machine) -> tuple[Change, ...]:
    """Every change, in the order of the node's, then the others. What one side does not show is no change."""
    return (*changes(before.node, after.node), *_others(before, after))


def _others(before: Machine, after: Machine) -> Iterator[Change]:
    one, other = before.snapshot, after.snapshot
    if one is None or other is None:
        return
    if one.host is None or other.host is None:
        return
    for name in _HOST:
        was, now = getattr(one.host, name), getattr(other.host, name)
        if was != now and was not in _UNKNOWN and now not in _UNKNOWN:
            sides = msgspec.to_builtins((was, now))
            yield Change(kind="host", subject="host", path=_camel(name), before=sides[0], after=sides[1])


def _camel(name: str) -> str:
    """``numaBalancing``, as documents name a field."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
