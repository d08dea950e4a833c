"""What Kubernetes says of Nodes, as far as it decides whether a pod can go there."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from nvtopo.placement.pods import Toleration

CORDONED: Final = "node.kubernetes.io/unschedulable"
"""The taint of a cordoned node: a pod that tolerates it can go there."""
_BY_READINESS: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable", CORDONED)
_LASTING: Final = ("node.kubernetes.io/out-of-service", CORDONED)


class Taint(NamedTuple):
    """One that keeps pods away."""

    key: str
    value: str
    effect: str

    @property
    def passes(self) -> bool:
        """Whether it may go by itself in a moment: a node that starts has taints of its network, its driver, ….

        When a taint was put there, nobody says.
        """
        return self.key not in _LASTING


class NodeState(NamedTuple):
    """One Node."""

    ready: bool | None = None
    """None if nothing is said of that."""
    since: float | None = None
    """When that last changed, in seconds since 1970."""
    cordoned: bool = False
    taints: tuple[Taint, ...] = ()
    """Those that keep pods away."""


NodeStates = Mapping[str, NodeState]


def barrier(state: NodeState, tolerations: Iterable[Toleration]) -> Taint | None:
    """What keeps a pod from a node, beside that it is not ready: that it is cordoned, or a taint."""
    tolerated = tuple(tolerations)
    cordon = (Taint(CORDONED, "", "NoSchedule"),) if state.cordoned else ()
    others = (taint for taint in state.taints if taint.key not in _BY_READINESS)
    standing = [taint for taint in (*cordon, *others) if not any(_tolerates(one, taint) for one in tolerated)]
    return min(standing, key=lambda taint: taint.passes, default=None)


def closed(states: NodeStates, tolerations: Iterable[Toleration]) -> dict[str, str]:
    """The nodes where a pod can't go, and why."""
    tolerated, found = tuple(tolerations), dict[str, str]()
    for name, state in states.items():
        if state.ready is False:
            found[name] = "NotReady"
        elif (state.cordoned or state.taints) and (taint := barrier(state, tolerated)) is not None:
            found[name] = words(taint)
    return found


def words(taint: Taint) -> str:
    """What it means for a pod."""
    if taint.key == CORDONED:
        return "cordoned"
    value = f"={taint.value}" if taint.value else ""
    return f"it has the taint {taint.key}{value}:{taint.effect}"


def _tolerates(one: Toleration, taint: Taint) -> bool:
    """As kube-scheduler judges it."""
    if one.effect not in ("", taint.effect) or (one.key and one.key != taint.key):
        return False
    if one.operator == "Exists":
        return True
    return bool(one.key) and one.operator in ("", "Equal") and one.value == taint.value
