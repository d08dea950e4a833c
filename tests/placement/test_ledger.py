"""The ledger's rules: whole or not at all, the same twice, expired, confirmed, released, never a GPU twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.placement.ledger import Full, Gpu, Held, IdTaken, Ledger, Refused, Reservation, Unknown
from nvtopo.placement.result import Assignment, Costs, Rank


def reservation(key: str, *gpus: Gpu, until: float | None = 10.0, fingerprint: str = "f") -> Reservation:
    ranks = tuple(Rank(rank=rank, node=node, gpus=(gpu,)) for rank, (node, gpu) in enumerate(gpus))
    answer = Assignment(
        generation=1, level="node", domain="n", cost=Costs(total=0, bound=0, all_reduce=0), domains={}, ranks=ranks
    )
    return Reservation(id=key, fingerprint=fingerprint, until=until, answer=answer)


A0, A1, B0 = ("a", 0), ("a", 1), ("b", 0)


def test_a_gang_is_held_whole_or_not_at_all() -> None:
    ledger = Ledger()
    ledger.reserve(reservation("x", A0))
    with pytest.raises(Held, match="reservation y: GPU 0 of a is held by reservation x"):
        ledger.reserve(reservation("y", B0, A0))
    assert dict(ledger.gpus) == {A0: "x"}


def test_gpus_of_other_pods_are_not_given() -> None:
    ledger = Ledger()
    with pytest.raises(Held, match="GPU 0 of b is used by a pod"):
        ledger.reserve(reservation("x", A0, B0), {B0})
    assert not ledger.gpus
    ledger.reserve(reservation("x", A0), {B0})
    # Its own pod runs there by now: the same call gives the same answer.
    assert ledger.reserve(reservation("x", A0), {A0, B0}).gpus() == {A0}


def test_the_same_request_gets_the_same_answer_and_another_one_is_refused() -> None:
    ledger = Ledger()
    first = ledger.reserve(reservation("x", A0))
    assert ledger.reserve(reservation("x", A1)) is first
    with pytest.raises(IdTaken):
        ledger.reserve(reservation("x", A1, fingerprint="other"))


def test_it_expires_unless_it_is_confirmed() -> None:
    ledger = Ledger([reservation("x", A0, until=10), reservation("y", A1, until=10)])
    ledger.confirm("y")
    assert ledger.expire(9.9) == ()
    assert ledger.expire(10) == ("x",)
    assert ledger.confirm("y").until is None
    with pytest.raises(Unknown, match="reservation x: expected one that was not released and has not expired"):
        ledger.confirm("x")
    assert dict(ledger.gpus) == {A1: "y"}


def test_release_frees_and_once_more_is_fine() -> None:
    ledger = Ledger([reservation("x", A0, B0)])
    assert ledger.release("x") is True
    assert ledger.release("x") is False
    assert not ledger.gpus


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nvtopo.placement.ledger.MOST_RESERVATIONS", 1)
    ledger = Ledger([reservation("x", A0)])
    with pytest.raises(Full, match="at most 1 at a time"):
        ledger.reserve(reservation("y", A1))
    assert ledger.reserve(reservation("x", A0)).id == "x"
    monkeypatch.setattr("nvtopo.placement.ledger.MOST_GPUS", 2)
    monkeypatch.setattr("nvtopo.placement.ledger.MOST_RESERVATIONS", 9)
    with pytest.raises(Full, match="at most 2 GPUs"):
        ledger.reserve(reservation("y", A1, B0))


@pytest.mark.parametrize("second", [reservation("x", A1), reservation("y", A0)])
def test_what_is_stored_twice_is_refused(second: Reservation) -> None:
    with pytest.raises(Refused):
        Ledger([reservation("x", A0), second])


def test_a_copy_changes_on_its_own() -> None:
    ledger = Ledger([reservation("x", A0)])
    ledger.copy().release("x")
    assert dict(ledger.gpus) == {A0: "x"}


GPUS = st.tuples(st.sampled_from("ab"), st.integers(0, 2))
CALLS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "confirm", "release", "expire"]),
        st.sampled_from("vwxyz"),
        st.lists(GPUS, min_size=1, max_size=3, unique=True),
        st.integers(0, 20),
    ),
    max_size=30,
)


@given(CALLS, st.frozensets(GPUS, max_size=2))
def test_no_gpu_is_held_twice_and_what_is_counted_is_what_is_there(
    calls: list[tuple[str, str, list[Gpu], int]], used: frozenset[Gpu]
) -> None:
    ledger = Ledger()
    for call, key, gpus, time in calls:
        before = dict(ledger.gpus)
        try:
            if call == "reserve":
                ledger.reserve(reservation(key, *gpus, until=time), used)
            elif call == "confirm":
                ledger.confirm(key)
            elif call == "release":
                ledger.release(key)
            else:
                ledger.expire(time)
        except Refused:
            assert dict(ledger.gpus) == before
        held = [gpu for one in ledger.reservations.values() for gpu in one.gpus()]
        assert len(held) == len({*held})
        assert {*held} == {*ledger.gpus}
        assert not used & {*held}
        assert all(gpu in ledger.reservations[key].gpus() for gpu, key in ledger.gpus.items())
