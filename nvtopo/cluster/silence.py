"""Which nodes are stale: nothing was heard of their agent for a while. A state machine; the time is an argument.

The sign of life is the Ready condition of the agent's pod, which follows the agent's ``/readyz`` (decision 16).
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple


class AgentPod(NamedTuple):
    """The pod of an agent."""

    node: str
    """Where it runs; empty before it is scheduled."""
    ready: bool
    since_unix: float | None = None
    """When its Ready condition last changed; None if it says no time."""


class PodsListed(NamedTuple):
    """All agents' pods at once: replaces everything known before."""

    pods: Mapping[str, AgentPod]


class PodSeen(NamedTuple):
    """A pod was created or has changed."""

    name: str
    pod: AgentPod


class PodGone(NamedTuple):
    """A pod was deleted."""

    name: str


class Away(NamedTuple):
    """The pods can't be followed: the API server does not answer, or refuses. A list ends it."""


PodEvent = PodsListed | PodSeen | PodGone | Away


class Moment(NamedTuple):
    """Now, by two clocks."""

    monotonic: float
    """Seconds; decides how long something has lasted."""
    unix: float
    """Seconds; what people read, and what the API server's times are compared with."""


class Quiet(NamedTuple):
    """A node none of whose agents is ready."""

    since: float
    """Monotonic seconds from which its grace counts."""
    last_heard: float | None
    """Unix seconds; None if nobody here heard it."""
    stale: bool = False


class Silence(NamedTuple):
    """What is known of the agents."""

    pods: Mapping[str, AgentPod] = MappingProxyType({})
    quiet: Mapping[str, Quiet] = MappingProxyType({})
    """Node → since when; nodes that are heard are not in it."""
    heard: frozenset[str] = frozenset()
    listed: bool = False
    away: bool = True
    """Whether the pods can't be followed at the moment."""
    in_pods: bool = False
    """Whether any agent was ever seen to run in a pod. Of agents that run otherwise nothing is concluded."""


def step(before: Silence, event: PodEvent | None, nodes: Collection[str], now: Moment, grace_seconds: float) -> Silence:
    """The state after ``event``, or after time passed (None). ``nodes`` are those that the graph has.

    While the pods can't be followed, no node becomes stale, and the grace starts again after that.
    """
    if isinstance(event, Away) or (before.away and not isinstance(event, PodsListed)):
        return before._replace(away=True)
    pods = _pods(before.pods, event)
    in_pods = before.in_pods or bool(pods)
    if not in_pods:
        return Silence(pods, listed=True, away=False)
    heard = frozenset(pod.node for pod in pods.values() if pod.ready)
    left = {pod.node: pod for pod in pods.values() if not pod.ready}
    quiet = {}
    for name in nodes:
        if name not in heard:
            was = _begun(before, name, left.get(name), now)
            quiet[name] = was._replace(stale=was.stale or now.monotonic - was.since >= grace_seconds)
    return Silence(pods, MappingProxyType(quiet), heard, listed=True, away=False, in_pods=True)


def stale(state: Silence) -> dict[str, float | None]:
    """Stale node → when it was last heard, Unix seconds; None if that is not known."""
    return {name: quiet.last_heard for name, quiet in sorted(state.quiet.items()) if quiet.stale}


def _pods(before: Mapping[str, AgentPod], event: PodEvent | None) -> Mapping[str, AgentPod]:
    match event:
        case PodsListed(pods):
            return pods
        case PodSeen(name, pod):
            return {**before, name: pod}
        case PodGone(name):
            return {other: pod for other, pod in before.items() if other != name}
    return before


def _begun(before: Silence, name: str, pod: AgentPod | None, now: Moment) -> Quiet:
    """Since when the node is quiet."""
    known = before.quiet.get(name)
    if known is not None:
        return known if known.stale or not before.away else known._replace(since=now.monotonic)
    reported = None if pod is None else pod.since_unix
    if name in before.heard:
        return Quiet(now.monotonic, now.unix if reported is None else reported)
    if before.listed or reported is None:
        return Quiet(now.monotonic, reported)
    return Quiet(now.monotonic - max(0.0, now.unix - reported), reported)
