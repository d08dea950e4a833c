"""Which nodes are stale, by tables of events and times."""

from collections.abc import Sequence

import pytest

from nvtopo.cluster.silence import AgentPod, Away, Moment, PodEvent, PodGone, PodSeen, PodsListed, Silence, stale, step

GRACE = 30.0
UNIX = 1_800_000_000.0
NODES = ("a", "b")
A, B = AgentPod("a", ready=True, since_unix=UNIX - 500), AgentPod("b", ready=True, since_unix=UNIX - 500)
BOTH = PodsListed({"agent-a": A, "agent-b": B})
DOWN = AgentPod("a", ready=False, since_unix=UNIX + 10)
FIRST_DOWN = AgentPod("a", ready=False, since_unix=UNIX - 300)

Script = Sequence[tuple[float, PodEvent | None]]


def after(script: Script, nodes: Sequence[str] = NODES) -> dict[str, float | None]:
    """What is stale after all of it; times are seconds since the start."""
    state = Silence()
    for seconds, event in script:
        state = step(state, event, nodes, Moment(seconds, UNIX + seconds), GRACE)
    return stale(state)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param([(0, BOTH), (10_000, None)], {}, id="all are heard"),
        pytest.param([(0, BOTH), (10, PodSeen("agent-a", DOWN)), (39, None)], {}, id="within the grace"),
        pytest.param(
            [(0, BOTH), (10, PodSeen("agent-a", DOWN)), (40, None)], {"a": UNIX + 10}, id="not ready for too long"
        ),
        pytest.param([(0, BOTH), (10, PodGone("agent-a")), (40, None)], {"a": UNIX + 10}, id="a pod that is gone"),
        pytest.param(
            [(0, BOTH), (10, PodGone("agent-a")), (20, PodSeen("agent-c", A)), (100, None)], {}, id="a roll-out"
        ),
        pytest.param(
            [(0, BOTH), (10, PodSeen("agent-a", DOWN)), (50, None), (60, PodSeen("agent-a", A))], {}, id="back again"
        ),
        pytest.param(
            [(0, PodsListed({"agent-a": FIRST_DOWN, "agent-b": B}))], {"a": UNIX - 300}, id="stale at the first list"
        ),
        pytest.param([(0, PodsListed({"agent-b": B})), (29, None)], {}, id="no pod, within the grace"),
        pytest.param([(0, PodsListed({"agent-b": B})), (30, None)], {"a": None}, id="no pod, and never heard"),
        pytest.param([(0, PodsListed({})), (10_000, None)], {}, id="agents that do not run in pods"),
        pytest.param([(0, None), (10_000, None)], {}, id="never listed"),
        pytest.param([(0, Away()), (10_000, None)], {}, id="never reached"),
        pytest.param(
            [(0, BOTH), (10, PodSeen("agent-a", DOWN)), (20, Away()), (10_000, None)], {}, id="away before the grace"
        ),
        pytest.param(
            [
                (0, BOTH),
                (10, PodSeen("agent-a", DOWN)),
                (20, Away()),
                (1000, PodsListed({"agent-a": DOWN, "agent-b": B})),
                (1029, None),
            ],
            {},
            id="the grace starts again after the API server was away",
        ),
        pytest.param(
            [
                (0, BOTH),
                (10, PodSeen("agent-a", DOWN)),
                (20, Away()),
                (1000, PodsListed({"agent-a": DOWN, "agent-b": B})),
                (1030, None),
            ],
            {"a": UNIX + 10},
            id="and ends",
        ),
        pytest.param(
            [(0, BOTH), (10, PodSeen("agent-a", DOWN)), (40, None), (50, Away()), (60, None)],
            {"a": UNIX + 10},
            id="what was stale before stays so while away",
        ),
        pytest.param(
            [(0, BOTH), (10, PodGone("agent-a")), (20, PodGone("agent-b")), (50, None)],
            {"a": UNIX + 10, "b": UNIX + 20},
            id="the DaemonSet is deleted",
        ),
    ],
)
def test_what_is_stale(script: Script, expected: dict[str, float | None]) -> None:
    assert after(script) == expected


def test_a_node_that_is_not_in_the_graph_is_not_stale() -> None:
    assert after([(0, BOTH), (10, PodGone("agent-a")), (50, None)], nodes=["b"]) == {}


def test_one_of_two_pods_of_a_node_is_enough() -> None:
    script: Script = [(0, BOTH), (10, PodSeen("agent-old", DOWN)), (100, None)]
    assert after(script) == {}
