"""What is taken of each node, change by change, is what a look at everything says."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from nvtopo.placement.fleet import Host
from nvtopo.placement.ledger import Ledger
from nvtopo.placement.occupied import Counted, Occupied
from tests.placement.test_ledger import reservation

GROUPS = ((0, 1), (2, 3))
HOSTS = {name: Host(name, {}, GROUPS, GROUPS) for name in ("a", "b")}


def left(occupied: Occupied) -> dict[str, tuple[tuple[int, ...], ...]]:
    return {name: occupied.left(host).free for name, host in HOSTS.items()}


def test_a_pod_without_a_reservation_may_have_any_of_the_free_gpus() -> None:
    occupied = Occupied()
    assert occupied.observe({}, {"a": {"": 2}}) == {"a"}
    assert left(occupied) == {"a": ((0,), (2,)), "b": GROUPS}  # no pair is promised
    assert occupied.observe({"a": (0,)}, {"a": {"": 2}}) == {"a"}
    assert sum(map(len, left(occupied)["a"])) == 2  # one of the two is GPU 0
    assert 0 not in {gpu for group in left(occupied)["a"] for gpu in group}


def test_pods_of_a_reservation_are_counted_once_but_can_hide_no_more_than_it_has() -> None:
    occupied, ledger = Occupied(), Ledger([reservation("r", ("a", 0), ("a", 1))])
    assert occupied.follow(ledger) == {"a"}
    for said, free in (({"r": 2}, 2), ({"r": 3}, 1), ({"r": 2, "": 1}, 1), ({"unknown": 2}, 0)):
        occupied.observe({}, {"a": said})
        assert sum(map(len, left(occupied)["a"])) == free, said
    occupied.observe({}, {"b": {"r": 1}})  # r has nothing there
    assert sum(map(len, left(occupied)["b"])) == 3


def test_gpus_of_claims_are_taken_and_hide_no_others() -> None:
    occupied, ledger = Occupied(), Ledger([reservation("r", ("a", 0))])
    occupied.follow(ledger)
    assert occupied.observe({}, {}, {"a": (0, 1)}) == {"a"}
    assert occupied.on("a") == {0, 1}
    assert left(occupied)["a"] == ((2, 3),)
    occupied.observe({}, {"a": {"": 1}}, {"a": (0, 1)})  # a pod of a device plugin has another one
    assert sum(map(len, left(occupied)["a"])) == 1
    occupied.observe({"a": (1,)}, {"a": {"": 1}}, {"a": (0, 1)})  # the kubelet says the same of the claim
    assert sum(map(len, left(occupied)["a"])) == 1
    assert occupied.observe({}, {}) == {"a"}


def test_pods_of_a_reservation_find_its_gpus_and_no_others() -> None:
    occupied, ledger = Occupied(), Ledger([reservation("r", ("a", 1)), reservation("s", ("a", 2))])
    occupied.follow(ledger)
    assert occupied.on("a") == {1, 2}
    assert occupied.reserved_for(HOSTS["a"], "r").free == ((1,),)
    assert occupied.reserved_for(HOSTS["b"], "r").free == ()


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "release", "copy", "read", "pods"]),
        st.sampled_from(["r", "s", "t"]),
        st.sampled_from(["a", "b"]),
        st.integers(0, 3),
    ),
    max_size=30,
)


@given(ACTS)
def test_following_is_the_same_as_looking_at_everything(acts: list[tuple[str, str, str, int]]) -> None:
    occupied, ledger, counted = Occupied(), Ledger(), dict[str, dict[str, int]]()
    for act, key, node, gpu in acts:
        if act == "reserve" and key not in ledger.reservations and (node, gpu) not in ledger.gpus:
            ledger.reserve(reservation(key, (node, gpu)))
        elif act == "release":
            ledger.release(key)
        elif act == "copy":
            ledger = ledger.copy()
        elif act == "read":  # as another replica stored it
            ledger = Ledger(ledger.reservations.values())
        elif act == "pods":
            counted = {**counted, node: {key: gpu}} if gpu else {name: n for name, n in counted.items() if name != node}
        before = left(occupied)
        told = occupied.follow(ledger) | occupied.observe({}, counted)
        assert {name for name, free in left(occupied).items() if free != before[name]} <= told
        afresh = Occupied()
        afresh.follow(Ledger(ledger.reservations.values()))
        afresh.observe({}, counted)
        assert left(occupied) == left(afresh)
        _holds(occupied, ledger, counted)


def _holds(occupied: Occupied, ledger: Ledger, counted: Counted) -> None:
    """By arithmetic: what is free is what neither a reservation nor a pod beyond its reservation has."""
    for name, host in HOSTS.items():
        own = Counter(key for (node, _gpu), key in ledger.gpus.items() if node == name)
        beyond = sum(max(0, gpus - own[key]) for key, gpus in counted.get(name, {}).items())
        assert occupied.left(host).free_gpus == max(0, 4 - own.total() - beyond)
