"""From the base to a component that makes the agent root, and back: the labels stay, the file is renewed."""

import pytest

from tests.kubelet.story import Rolled, Step

# The first test waits for all that was done before.
pytestmark = [pytest.mark.kubelet, pytest.mark.timeout(900)]


def test_each_agent_owns_the_feature_file_that_it_renews(walked: list[Step]) -> None:
    owners = [(step.component, step.owner) for step in walked]
    assert owners == [("acs", 0), ("", 65532), ("pods", 0), ("", 65532)]


def test_labels_are_the_same_all_the_way(walked: list[Step], rolled: Rolled) -> None:
    for step in walked:
        assert step.labels["nvtopo.io/gpu.count"] == rolled.labels["nvtopo.io/gpu.count"], step.component


def test_no_agent_complains_of_the_feature_file(walked: list[Step]) -> None:
    for step in walked:
        assert "Operation not permitted" not in step.log
        assert "Permission denied" not in step.log
