"""What the machine should have: stated by the operator's files, accepted, or learned.

A GPU count that falls without the operator's word is a fault; only an expectation, a restart of the agent, or a
deleted NodeTopology makes fewer right again.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from nvtopo.agent.expectation_file import ExpectationFile
from nvtopo.model.conclusions import presence
from nvtopo.model.conclusions.expected import merged
from nvtopo.model.records.expected import Expectation, Expected
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.record import Problem
from nvtopo.model.records.standing import Standing


class Due(NamedTuple):
    """What is expected of a node."""

    expected: Expected | None = None
    problems: tuple[Problem, ...] = ()
    """Of the files that say it."""


class AgentExpectations:
    """Learns from each topology, and says what should be there."""

    def __init__(self, files: Sequence[ExpectationFile] = (), standing: Callable[[], Standing] = Standing) -> None:
        """``files`` in order of precedence. ``standing`` is what the aggregator last said of this node."""
        self._files = tuple(files)
        self._standing = standing
        self._most = 0

    def of(self, node: NodeTopology) -> Due:
        """What this node should have. A shape that no file names is told by what was accepted and learned alone."""
        self._most = max(self._most, presence.accounted(node))
        for file in self._files:
            file.read()
        stated = [None if file.latest is None else file.latest.of(node) for file in self._files]
        standing = self._standing()
        seen = Expectation(gpus=self._most or None)
        problems = tuple(file.problem for file in self._files if file.problem is not None)
        return Due(merged((*stated, standing.accepted), (standing.learned, seen)), problems)
