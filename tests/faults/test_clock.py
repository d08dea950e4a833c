"""Clocks that jump under the running agent."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from nvtopo.sinks.publish.nfd import expiry
from tests.faults.clock import Clock
from tests.faults.node import Agent, Node

pytestmark = pytest.mark.slow

HOUR: Final = 3600
LIFETIME: Final = timedelta(minutes=15)


def left(node: Node, ahead_seconds: int) -> timedelta:
    """How long the labels live on, by a clock that is ahead of ours."""
    expires = expiry((node.features_d / "nvtopo").read_text())
    assert expires is not None
    return expires - datetime.now(UTC) - timedelta(seconds=ahead_seconds)


def lives_on(node: Node, ahead_seconds: int) -> bool:
    """As long as after any pass: no less than half of the lifetime, and no more than all of it."""
    return LIFETIME / 2 - timedelta(seconds=5) < left(node, ahead_seconds) <= LIFETIME


def at_seconds(agent: Agent) -> float:
    return agent.value("nvtopo_observation_timestamp_seconds") or 0


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


@pytest.mark.parametrize("seconds", [5 * HOUR, -5 * HOUR, -300])
def test_a_clock_that_jumps(node: Node, clock: Clock, seconds: int) -> None:
    agent = node.start(environment=clock.environment)
    agent.eventually(lambda: node.labels().get("gpu.count") == "8" and agent.ready(), "labels")
    assert lives_on(node, 0)
    clock.set_by(seconds)
    agent.eventually(lambda: lives_on(node, seconds), "an expiry time by the new clock")
    agent.eventually(lambda: abs(at_seconds(agent) - time.time() - seconds) < 30, "the page's time by the new clock")
    passed = at_seconds(agent)
    agent.eventually(lambda: at_seconds(agent) > passed, "passes that go on")
    clock.set_by(-seconds)
    agent.eventually(lambda: lives_on(node, 0), "an expiry time by the clock that is right again")
    assert agent.ready()
    assert not agent.said("cannot read")
