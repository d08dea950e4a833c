"""The ledger by compare-and-swap: two replicas that interleave, lost answers, many in one write, what is no ledger."""

import threading
from functools import partial
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvtopo.errors import ApiError, Conflict, ParseError
from nvtopo.kube import reservations
from nvtopo.kube.client import Client
from nvtopo.kube.reservations import Reservations, decoded, encoded
from nvtopo.placement.ledger import Full, Gpu, Held, Ledger, Refused, Reservation
from tests.kube.config_map import ConfigMapServer
from tests.placement.test_ledger import A0, A1, B0, CALLS, reservation


def replica(server: ConfigMapServer, time: float = 0.0) -> Reservations:
    return Reservations(cast("Client", server), "nvtopo", lambda: time)


def stored(server: ConfigMapServer) -> Ledger:
    return decoded(server.document["binaryData"]["ledger.json.z"]) if server.document else Ledger()


def test_what_one_replica_reserved_the_other_one_sees() -> None:
    server = ConfigMapServer()
    one, other = replica(server), replica(server)
    assert one.do(lambda ledger: ledger.reserve(reservation("x", A0))).id == "x"
    with pytest.raises(Held):
        other.do(lambda ledger: ledger.reserve(reservation("y", A0)))
    assert other.do(lambda ledger: ledger.release("x"))
    # The first one remembers x; the write of it is refused by the server, and read again.
    assert one.do(lambda ledger: ledger.reserve(reservation("y", A0))).id == "y"
    assert dict(stored(server).gpus) == {A0: "y"}


def test_a_refusal_is_never_of_what_was_remembered() -> None:
    server = ConfigMapServer()
    one, other = replica(server), replica(server)
    one.do(lambda ledger: ledger.reserve(reservation("x", A0)))
    other.do(lambda ledger: ledger.release("x"))
    with pytest.raises(Refused, match="expected one that was not released"):
        one.do(lambda ledger: ledger.confirm("x"))


def test_a_write_whose_answer_is_lost_counts_once() -> None:
    server = ConfigMapServer()
    answers = iter([True, False])
    server.lost = lambda: next(answers)
    found = replica(server).do(lambda ledger: ledger.reserve(reservation("x", A0)))
    assert found.gpus() == {A0}
    assert server.writes == 1


def test_what_was_not_confirmed_expires_for_every_replica() -> None:
    server = ConfigMapServer()
    replica(server, 0).do(lambda ledger: ledger.reserve(reservation("x", A0, until=5)))
    replica(server, 5).do(lambda ledger: ledger.reserve(reservation("y", A0, until=9)))
    assert dict(stored(server).gpus) == {A0: "y"}


def test_calls_that_come_during_a_write_share_the_next_one() -> None:
    server = ConfigMapServer()
    mine = replica(server)
    under_way, go_on = threading.Event(), threading.Event()

    def held_up() -> None:
        under_way.set()
        assert go_on.wait(10)

    server.before_a_write = held_up
    gpus = [("n", number) for number in range(50)]
    threads = [
        threading.Thread(target=mine.do, args=(lambda ledger, gpu=gpu: ledger.reserve(reservation(str(gpu), gpu)),))
        for gpu in gpus
    ]
    threads[0].start()
    assert under_way.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(mine._waiting) < 49:
        threading.Event().wait(0.001)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert {*stored(server).gpus} == {*gpus}
    assert server.writes == 2


def test_whoever_asks_while_nobody_writes_is_served_and_no_thread_stays() -> None:
    server = ConfigMapServer()
    mine = replica(server)
    for number in range(20):
        wanted = reservation(f"r{number}", ("n", number))
        assert mine.do(partial(Ledger.reserve, wanted=wanted)).id == f"r{number}"
    assert server.writes == 20
    while any(thread.name == "reservations" for thread in threading.enumerate()):
        threading.Event().wait(0.001)
    assert not mine._serving


def test_a_bug_in_the_writer_reaches_who_waits_and_the_next_call_is_served() -> None:
    server = ConfigMapServer()
    mine = replica(server)

    def broken() -> None:
        raise SystemExit("a bug")

    server.before_a_write = broken
    with pytest.raises(SystemExit, match="a bug"):
        mine.do(lambda ledger: ledger.reserve(reservation("x", A0)))
    server.before_a_write = lambda: None
    assert mine.do(lambda ledger: ledger.reserve(reservation("x", A0))).id == "x"


def test_who_does_not_wait_gets_a_future_that_can_t_be_cancelled() -> None:
    server = ConfigMapServer()
    begun, go_on = threading.Event(), threading.Event()

    def held_up() -> None:
        begun.set()
        assert go_on.wait(10)

    server.before_a_write = held_up
    future = replica(server).submit(lambda ledger: ledger.reserve(reservation("x", A0)))
    assert begun.wait(10)
    assert not future.cancel()
    go_on.set()
    assert future.result(10).id == "x"


def test_a_ledger_that_is_too_large_takes_no_more_but_lets_go(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ConfigMapServer()
    mine = replica(server)
    mine.do(lambda ledger: ledger.reserve(reservation("x", A0)))
    monkeypatch.setattr(reservations, "_MOST_STORED_BYTES", 200)
    with pytest.raises(Full, match="more than 200; release reservations"):
        mine.do(lambda ledger: [ledger.reserve(reservation(f"y{at}", ("b", at))) for at in range(40)])
    assert dict(stored(server).gpus) == {A0: "x"}
    assert mine.do(lambda ledger: ledger.release("x"))


@pytest.mark.parametrize("refusal", [Conflict("it was changed", status=409), ApiError("overloaded", status=500)])
def test_a_server_that_always_refuses_is_an_error(refusal: ApiError) -> None:
    server = ConfigMapServer()

    def refuse() -> None:
        raise refusal

    server.before_a_write = refuse
    with pytest.raises(ApiError, match=str(refusal)):
        replica(server).do(lambda ledger: ledger.reserve(reservation("x", A0)))


@pytest.mark.parametrize(
    "text", ["!", "AAAA", encoded(Ledger())[:-4], encoded(Ledger([reservation("x", A0)])).swapcase()]
)
def test_what_is_no_ledger_is_refused(text: str) -> None:
    with pytest.raises(ParseError, match="nvtopo-reservations: expected"):
        decoded(text)


def test_a_stored_ledger_with_one_gpu_twice_is_refused() -> None:
    twice = Ledger([reservation("x", A0)])
    twice._reservations["y"] = reservation("y", A0)
    with pytest.raises(ParseError, match="share no GPU"):
        decoded(encoded(twice))


def test_a_ledger_is_what_was_stored() -> None:
    ledger = Ledger([reservation("x", A0, B0), reservation("y", A1, until=None)])
    assert decoded(encoded(ledger)).reservations == ledger.reservations


@given(CALLS, CALLS, st.lists(st.booleans()), st.lists(st.integers(0, 9)))
@settings(deadline=None, max_examples=30)
@pytest.mark.slow
def test_two_replicas_that_interleave_hold_no_gpu_twice(
    ours: list[tuple[str, str, list[Gpu], int]],
    theirs: list[tuple[str, str, list[Gpu], int]],
    acting: list[bool],
    losing: list[int],
) -> None:
    """Between any read and write of the one, the other may act; answers get lost. Then each GPU has one holder."""
    server = ConfigMapServer()
    one, other = replica(server), replica(server)
    left, inside = list(theirs), [False]

    def meanwhile() -> None:
        if left and not inside[0] and acting and acting.pop():
            inside[0] = True
            called(other, *left.pop())
            inside[0] = False

    server.before_a_write = meanwhile
    server.lost = lambda: bool(losing) and losing.pop() == 0
    granted: dict[str, Reservation] = {}

    def called(by: Reservations, call: str, key: str, gpus: list[Gpu], _time: int) -> None:
        try:
            if call == "reserve":
                granted[key] = by.do(lambda ledger: ledger.reserve(reservation(key, *gpus)))
            elif call == "confirm":
                by.do(lambda ledger: ledger.confirm(key))
            elif call == "release":
                by.do(lambda ledger: ledger.release(key))
        except (Refused, ApiError):
            return
        held = [gpu for found in stored(server).reservations.values() for gpu in found.gpus()]
        assert len(held) == len({*held})

    for call in ours:
        called(one, *call)
    for key, found in stored(server).reservations.items():
        assert key not in granted or granted[key].fingerprint == found.fingerprint
