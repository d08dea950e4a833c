"""Which pod gets which rank: the one that comes for another takes that one's, and no other pod moves."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nvtopo.gangs.gang import Key
from nvtopo.gangs.ranks import places
from nvtopo.placement.pods import GATE, GpuPod
from nvtopo.placement.result import Assignment, Costs, Rank
from tests.calls import calls

KEY: Final = Key("team", "g")


def gated(name: str, *order: int, **changes: Any) -> GpuPod:
    made = GpuPod(namespace="team", name=name, uid=name, gpus=0, claimed=2, claim="gpus", gates=(GATE,), gang="g")
    return replace(made, order=order, **changes)


def held(name: str, rank: int, *order: int, **changes: Any) -> GpuPod:
    """One that waits at the barrier."""
    return replace(
        gated(name, *order), **{"gates": (), "rank": rank, "reservation": KEY.id, "lifted_for": "c", **changes}
    )


def runs(name: str, rank: int, *order: int, **changes: Any) -> GpuPod:
    return held(name, rank, *order, node="n", **changes)


def ended(name: str, rank: int, *order: int) -> GpuPod:
    return runs(name, rank, *order, ended=True)


def answer(*gpus: int) -> Assignment:
    ranks = tuple(Rank(rank=at, node=f"n{at}", gpus=tuple(range(count))) for at, count in enumerate(gpus))
    cost = Costs(total=0, bound=0, all_reduce=0)
    return Assignment(generation=1, level="node", domain="d", cost=cost, domains={}, ranks=ranks)


def got(size: int, *pods: GpuPod) -> dict[str, int]:
    return {pod.name: rank.rank for pod, rank in places(KEY, pods, answer(*[2] * size))}


@pytest.mark.parametrize(
    ("size", "pods", "expected"),
    [
        pytest.param(3, (gated("b"), gated("c"), gated("a")), {"a": 0, "b": 1, "c": 2}, id="in order at first"),
        pytest.param(3, (gated("b"), gated("a")), {}, id="who of several is missing nobody knows"),
        pytest.param(3, (gated("x", 2), gated("y", 0)), {"y": 0, "x": 2}, id="an index says it"),
        pytest.param(2, (gated("x", 6), gated("y", 5)), {"y": 0, "x": 1}, id="indices may begin elsewhere"),
        pytest.param(3, (held("a", 0), held("e", 2), gated("0")), {"a": 0, "0": 1, "e": 2}, id="held ones stay"),
        pytest.param(3, (runs("a", 0), runs("e", 2), gated("0")), {"0": 1}, id="those that run stay"),
        pytest.param(3, (held("a", 0), held("e", 2)), {"a": 0, "e": 2}, id="held ones stay while one is missing"),
        pytest.param(3, (held("a", 0), held("b", 0), held("c", 7)), {"a": 0, "b": 1, "c": 2}, id="a rank is of one"),
        pytest.param(2, (held("a", 1, reservation="other"), held("b", 0)), {"b": 0, "a": 1}, id="of another place"),
        pytest.param(
            2, (gated("b", rank=0, reservation=KEY.id), gated("a")), {"a": 0, "b": 1}, id="gated says nothing"
        ),
        pytest.param(2, (runs("a", 0, 0), runs("b", 1, 1, leaving=True), gated("c", 1)), {}, id="it is still leaving"),
        pytest.param(
            3,
            (runs("a", 0, 0), runs("b", 1, 1, leaving=True), gated("c", 1)),
            {},
            id="nor does it take that of another one which is missing",
        ),
        pytest.param(
            4, (runs("a", 0, 5), runs("b", 1, 6), gated("c", 8)), {"c": 3}, id="counted from where others are"
        ),
        pytest.param(3, (runs("a", 0, 0, 0), ended("b", 1, 0, 1), gated("c", 0, 1)), {"c": 1}, id="as one that ended"),
        pytest.param(
            3, (runs("a", 0), ended("b", 1), ended("d", 2), gated("c")), {"c": 1}, id="those that ended are not awaited"
        ),
        pytest.param(4, (runs("a", 0), ended("b", 1), gated("c")), {}, id="two are missing and one is there"),
        pytest.param(4, (runs("a", 0), ended("b", 1), gated("c"), gated("d")), {"c": 2, "d": 3}, id="both are there"),
        pytest.param(
            3, (held("a", 0, 0), gated("b", 5), gated("c", 9)), {"a": 0, "b": 1, "c": 2}, id="indices with gaps"
        ),
        pytest.param(
            3, (held("a", 0, 0), held("b", 1, 1), gated("c", 1)), {"a": 0, "b": 1, "c": 2}, id="one index twice"
        ),
        pytest.param(3, (gated("a", 0), gated("b", 1), gated("c", 1)), {"a": 0, "b": 1, "c": 2}, id="twice at first"),
        pytest.param(1, (gated("a"), gated("b")), {"a": 0}, id="more pods than ranks"),
    ],
)
def test_who_gets_which_rank(size: int, pods: tuple[GpuPod, ...], expected: dict[str, int]) -> None:
    assert got(size, *pods) == expected


def test_a_pod_gets_a_rank_with_as_many_gpus_as_it_asks_for() -> None:
    leader, worker = gated("z", claimed=1), gated("a")
    found = {pod.name: rank.rank for pod, rank in places(KEY, (worker, leader), answer(1, 2))}
    assert found == {"z": 0, "a": 1}, "both came anew, and names are no order of theirs"
    assert not [*places(KEY, (gated("a", claimed=3),), answer(2))]


@pytest.mark.parametrize("name", ["gated", "held", "leaving"])
def test_large_gangs_are_ranked_in_a_time_that_grows_as_they_do(name: str) -> None:
    def work(size: int) -> int:
        pods = [gated(f"w-{at}") for at in range(size)]
        if name != "gated":
            pods = [held(f"w-{at}", at, leaving=name == "leaving" and at % 2 == 0) for at in range(size)]
        at_all = answer(*[2] * size)
        return calls(lambda: [*places(KEY, pods, at_all)])

    assert work(400) < 14 * work(40)


GANG: Final = st.lists(
    st.tuples(st.sampled_from(["gated", "held", "runs", "leaving", "ended"]), st.integers(0, 5), st.integers(0, 5)),
    max_size=8,
)


@given(GANG, st.integers(1, 6), st.booleans())
def test_no_rank_is_given_twice_or_taken_from_who_has_it(
    story: list[tuple[str, int, int]], size: int, indexed: bool
) -> None:
    pods = []
    for at, (how, rank, index) in enumerate(story):
        order = (index,) if indexed else ()
        made = gated(f"p{at}", *order) if how == "gated" else held(f"p{at}", rank, *order)
        node = "n" if how in {"runs", "leaving", "ended"} else ""
        pods.append(replace(made, node=node, leaving=how == "leaving", ended=how == "ended"))
    found = [(pod, rank.rank) for pod, rank in places(KEY, pods, answer(*[2] * size))]
    numbers = [number for _pod, number in found]
    assert numbers == sorted({*numbers})
    assert len({pod.name for pod, _number in found}) == len(found)
    assert all(pod.waiting for pod, _number in found)
    taken = {pod.rank for pod in pods if pod.node and not pod.ended}
    assert not taken & {*numbers}
    kept = {pod.rank for pod in pods if pod.waiting and not pod.gated and pod.rank is not None and pod.rank < size}
    assert kept - taken <= {number for pod, number in found if pod.rank == number}
