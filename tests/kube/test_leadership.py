"""The requests of the election, on a server of real HTTP."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from nvtopo.kube.client import Client
from nvtopo.kube.election import Timing
from nvtopo.kube.lease import Leadership
from tests.kube.fake_api_server import FakeApiServer


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def leadership(client: Client, clock: Clock, name: str = "one") -> Leadership:
    return Leadership(client, "nvtopo", "nvtopo-aggregator", name, clock=clock)


def spec(server: FakeApiServer) -> tuple[str, int]:
    assert server.lease is not None
    return server.lease["spec"]["holderIdentity"], server.lease["spec"]["leaseTransitions"]


def test_one_leads_lets_go_and_the_other_follows(client: Client, api_server: FakeApiServer, clock: Clock) -> None:
    one, other = leadership(client, clock), leadership(client, clock, "other")
    one.attempt(), other.attempt()
    assert (one.term, other.term, spec(api_server)) == (1, None, ("one", 0))
    one.release()
    assert (one.term, spec(api_server)) == (None, ("", 0))
    other.attempt(), one.attempt()
    assert (one.term, other.term, spec(api_server), one.transitions) == (None, 1, ("other", 1), 1)


def test_who_was_slower_does_not_lead(client: Client, api_server: FakeApiServer, clock: Clock) -> None:
    api_server.refuse("lease-write", 409)
    one = leadership(client, clock)
    one.attempt()
    assert one.term is None
    one.attempt()
    assert one.term == 1


def test_what_fails_is_said_once_and_its_end_too(
    client: Client, api_server: FakeApiServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    one = leadership(client, clock)
    one.attempt()
    api_server.refuse("lease", 500, times=2)
    api_server.refuse("lease", 200, body=b'{"metadata": 3}')
    with caplog.at_level("INFO"):
        for _ in range(3):
            clock.now += 2
            one.attempt()
        assert one.term == 1, "until its deadline"
        clock.now += 2
        one.attempt()
    assert [record.message for record in caplog.records] == [
        "cannot renew the lease, trying on",
        "the lease is renewed again",
    ]


@pytest.mark.parametrize("header", ["7", "junk", "-1", "Fri, 31 Dec 1999 23:59:59 GMT", "9" * 400, ""])
def test_a_server_that_is_busy_is_asked_when_it_says(
    client: Client, api_server: FakeApiServer, clock: Clock, header: str
) -> None:
    api_server.refuse("lease", 429, headers={"Retry-After": header})
    waits = leadership(client, clock).attempt()
    assert waits == {"7": 7.0, "9" * 400: 120.0}.get(header, waits)
    assert 2.0 <= waits <= 120.0


def test_a_lease_that_was_deleted_is_made_anew(client: Client, api_server: FakeApiServer, clock: Clock) -> None:
    one = leadership(client, clock)
    one.attempt()
    api_server.lease = None
    one.attempt()
    assert (one.term, spec(api_server)) == (2, ("one", 0))


def test_it_lets_go_when_it_is_told_to_stop(client: Client, api_server: FakeApiServer) -> None:
    one, stop = Leadership(client, "nvtopo", "nvtopo-aggregator", "one", timing=Timing(retry=60)), threading.Event()
    thread = threading.Thread(target=one.run, args=(stop,))
    thread.start()
    api_server.await_requests("lease-write", 1)
    stop.set()
    thread.join(10)
    assert spec(api_server) == ("", 0)


def test_who_does_not_lead_leaves_the_lease_alone_at_its_end(
    client: Client, api_server: FakeApiServer, clock: Clock
) -> None:
    one, other = leadership(client, clock), leadership(client, clock, "other")
    one.attempt(), other.attempt()
    before = api_server.requests.copy()
    other.release()
    assert (api_server.requests, spec(api_server)) == (before, ("one", 0))


def test_who_can_not_do_the_work_gives_the_lease_up_and_takes_it_no_more(
    client: Client, api_server: FakeApiServer, clock: Clock
) -> None:
    fit = [True]
    one = Leadership(client, "nvtopo", "nvtopo-aggregator", "one", clock=clock, fit=lambda: fit[0])
    one.attempt()
    before = one.term
    fit[0] = False
    assert (before, one.term) == (1, None), "at once, before any request"
    one.attempt()
    assert spec(api_server) == ("", 0)
    clock.now += 60
    one.attempt()
    assert (one.term, spec(api_server)) == (None, ("", 0))


class Slow:
    """A client whose requests take two seconds each, and which notes how long each may take."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self.seconds: list[float | None] = []

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def send(*arguments: Any, seconds: float | None = None) -> Any:
            self.seconds.append(seconds)
            try:
                return getattr(self._client, verb)(*arguments, seconds=seconds)
            finally:
                self._clock.now += 2

        return send


def test_no_request_may_take_as_long_as_the_lease(client: Client, api_server: FakeApiServer, clock: Clock) -> None:
    slow = Slow(client, clock)
    one = leadership(slow, clock)  # type: ignore[arg-type]
    one.attempt(), one.attempt()
    one.release()
    assert api_server.requests.count("lease-write") == 3, "made, renewed, released"
    assert slow.seconds == [Timing().request] * 6


def test_a_term_counts_from_when_the_bid_was_sent(client: Client, api_server: FakeApiServer, clock: Clock) -> None:
    assert api_server.lease is None
    one = leadership(Slow(client, clock), clock)  # type: ignore[arg-type]
    one.attempt()
    sent = 2.0
    clock.now = sent + Timing().renew_deadline - 0.1
    assert one.term == 1
    clock.now = sent + Timing().renew_deadline
    assert one.term is None
