"""An agent that is throttled to a tenth of a CPU: it goes on more slowly, takes nothing back, and is itself again."""

from pathlib import Path
from typing import NamedTuple

from tests.chaos.throttle import throttled
from tests.faults.node import Agent, Node

_PASSES = 3
_PATIENCE_SECONDS = 120.0


class Starved(NamedTuple):
    """What the agent did."""

    passed: int
    """Passes that it made while it was throttled."""
    labels_kept: bool
    """Whether its labels were the same all the time."""
    alive: bool
    """Whether the kubelet would have let it live."""


def run(folder: Path) -> Starved:
    """Throttle an agent for some passes."""
    with Node(folder) as node:
        node.install_driver()
        node.driver_is_like()
        agent = node.start()
        agent.eventually(lambda: node.labels().get("ready") == "true" and agent.ready(), "an agent that is well")
        before, kept, alive, passed = node.labels(), True, True, 0
        with throttled(agent.child.pid):
            for _ in range(_PASSES):
                at = _at(agent)
                agent.eventually(lambda: _at(agent) > at, "a pass", _PATIENCE_SECONDS)  # noqa: B023
                passed += 1
                kept &= node.labels() == before
                alive &= agent.alive()
        agent.eventually(lambda: agent.ready() and node.labels() == before, "an agent that is well again")
        return Starved(passed, kept, alive)


def _at(agent: Agent) -> float:
    return agent.value("nvtopo_observation_timestamp_seconds") or 0.0
