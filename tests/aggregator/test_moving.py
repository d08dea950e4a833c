"""A part of a gang is moved in the ledger: at once, once, never onto a GPU that anybody has, the others untouched."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvtopo.aggregator.desk import Desk
from nvtopo.aggregator.fleets import AskedFor, Use
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.errors import ApiError
from nvtopo.kube.client import Client
from nvtopo.kube.reservations import Reservations, decoded
from nvtopo.placement.document import Parsed, parse
from nvtopo.placement.ledger import Gpu, Held, Ledger, Unknown
from nvtopo.placement.result import Assignment, NoFit
from tests.cluster import machines
from tests.kube.config_map import ConfigMapServer
from tests.placement.test_ledger import reservation

GRAPH = machines.graph(machines.racks(2, 4))
NODES = [machines.name(rack, at) for rack in (1, 2) for at in range(4)]
KEY = "gang:team/g"


def desk(books: ConfigMapServer, use: Use | None = None, graph: ClusterGraph = GRAPH) -> Desk:
    ledger = Reservations(cast("Client", books), "nvtopo", lambda: 0.0)
    return Desk(lambda: graph, ledger, lambda: 0.0, used=lambda: use or Use())


def request(pods: int, gpus: int = 4, **spec: Any) -> tuple[bytes, Parsed]:
    wishes = {"pods": pods, "gpusPerPod": gpus, "required": "nvlinkDomain", **spec}
    content = msgspec.json.encode({"metadata": {"name": "g"}, "spec": wishes})
    return content, parse(content, "input")


def placed(at: Desk, key: str, pods: int, closed: Mapping[str, str] | None = None) -> Assignment:
    content, parsed = request(pods)
    answer = at.placing(key, content, parsed, lasting=True, pods=AskedFor(closed=closed or {})).result().answer
    assert isinstance(answer, Assignment)
    return answer


def on(answer: Assignment | NoFit) -> list[str]:
    assert isinstance(answer, Assignment), answer
    return [rank.node for rank in answer.ranks]


def stored(books: ConfigMapServer) -> Ledger:
    """What is in the API server; that no GPU is in it twice, reading it says."""
    return decoded(books.document["binaryData"]["ledger.json.z"]) if books.document else Ledger()


def test_a_part_is_moved_once_and_the_others_stay() -> None:
    books = ConfigMapServer()
    at = desk(books)
    before = placed(at, KEY, 3)
    assert on(before) == NODES[:3]
    _content, parsed = request(1)  # as one of its pods says it
    closed = AskedFor(closed={NODES[1]: "cordoned"})
    moved = at.moving(KEY, parsed, before.ranks[1:2], closed).result()
    assert (on(moved.answer), moved.new) == ([NODES[0], NODES[3], NODES[2]], True)
    assert stored(books).reservations[KEY].answer == moved.answer
    writes = books.writes
    other = desk(books).moving(KEY, parsed, before.ranks[1:2], closed).result()
    assert (other.answer, other.new, books.writes) == (moved.answer, False, writes)
    full = at.moving(KEY, parsed, before.ranks[:1], AskedFor(closed={NODES[0]: "NotReady", **closed.closed})).result()
    assert isinstance(full.answer, NoFit)
    assert "no node of its nvlinkDomain has room" in full.answer.reason
    assert full.answer.counts["NotReady"] == full.answer.counts["cordoned"] == 1
    assert stored(books).reservations[KEY].answer == moved.answer
    with pytest.raises(Unknown):
        at.moving("gang:team/other", parsed, before.ranks[:1]).result()


def test_a_gang_is_not_placed_where_its_pods_can_t_go_and_others_are() -> None:
    at = desk(ConfigMapServer())
    assert on(placed(at, "a", 1, {NODES[0]: "cordoned"})) == [NODES[1]]
    assert on(placed(at, "b", 1)) == [NODES[0]]
    content, parsed = request(8, required="zone")
    closed = AskedFor(closed=dict.fromkeys(NODES, "NotReady"))
    answer = at.placing("c", content, parsed, pods=closed).result().answer
    assert isinstance(answer, NoFit)
    assert answer.counts == {"NotReady": 8}


def test_of_its_own_node_it_may_keep_the_gpus_that_are_well_unless_somebody_has_them() -> None:
    books = ConfigMapServer()
    content, parsed = request(1, 2)
    before = desk(books).placing(KEY, content, parsed, lasting=True).result().answer
    assert isinstance(before, Assignment)
    nodes = machines.racks(1, 1)
    nodes[NODES[0]] = machines.changed(
        nodes[NODES[0]], 0, nvlinks=(machines.bundle("0-15"), machines.bundle("16-17", "inactive"))
    )
    allow = request(1, 2, allowDegraded=True)[1]
    graph = machines.graph(nodes)
    moved = desk(books, Use({NODES[0]: (2,)}), graph).moving(KEY, allow, before.ranks).result().answer
    assert isinstance(moved, Assignment)
    assert set(moved.ranks[0].gpus) <= {0, 1, 3}
    other = desk(books, Use({NODES[0]: (0, 1, 2)}), graph).moving(KEY, allow, moved.ranks).result().answer
    assert isinstance(other, NoFit)


def test_a_reservation_never_gets_a_gpu_that_is_held() -> None:
    a, b, c = ("a", 0), ("b", 0), ("c", 0)
    ledger = Ledger([reservation("x", a, until=None), reservation("y", b, until=None)])
    for wanted, used in ((b, set[Gpu]()), (c, {c})):
        with pytest.raises(Held):
            ledger.move("x", reservation("x", wanted).answer, used)
        assert dict(ledger.gpus) == {a: "x", b: "y"}
    moved = ledger.move("x", reservation("x", c).answer)
    assert (moved.until, dict(ledger.gpus)) == (None, {c: "x", b: "y"})
    with pytest.raises(Unknown):
        ledger.move("z", reservation("z", a).answer)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["place", "move", "move", "release"]),
            st.integers(0, 2),
            st.integers(0, 7),
            st.sampled_from(["alone", "rival", "lost"]),
        ),
        max_size=12,
    )
)
@settings(deadline=None, max_examples=40)
def test_two_replicas_move_and_no_gpu_is_ever_held_twice(story: list[tuple[str, int, int, str]]) -> None:
    books = ConfigMapServer()
    desks = [desk(books), desk(books)]
    for turn, (what, number, node, beside) in enumerate(story):
        key, mine, other = f"gang:team/g{number}", desks[turn % 2], desks[1 - turn % 2]
        before = stored(books).reservations
        closed = AskedFor(closed={NODES[node]: "cordoned"})
        answers = iter((beside == "lost",))
        books.lost = lambda answers=answers: next(answers, False)  # type: ignore[misc]
        once = iter((beside == "rival",))

        def rival(once: Any = once, other: Desk = other) -> None:
            if next(once, False):
                other.releasing("nothing").result()
                content, parsed = request(1, 1)
                other.placing("rival", content, parsed, lasting=True).result()

        books.before_a_write = rival
        content, parsed = request(2)
        if what == "place":
            mine.placing(key, content, parsed, lasting=True).result()
        elif what == "release":
            mine.releasing(key).result()
        elif key in before:
            ranks = tuple(rank for rank in before[key].answer.ranks if rank.node == NODES[node])
            for at in (mine, other):  # the second one finds it done
                try:
                    at.moving(key, parsed, ranks, closed).result()
                except ApiError:
                    continue
            after = stored(books).reservations[key].answer
            assert [rank for rank in before[key].answer.ranks if rank not in ranks] == [
                rank for rank in after.ranks if rank.rank not in {one.rank for one in ranks}
            ]
            assert len(after.ranks) == 2
        books.before_a_write = lambda: None
        others = {name for name in before if name != key}
        assert all(stored(books).reservations[name] == before[name] for name in others)
