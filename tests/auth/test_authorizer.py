"""Verdicts with an API server behind them: what happens without it, and what is logged."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from nvtopo.agent.http.scrape import LIFETIMES, MOST_REVIEWS, scrapers
from nvtopo.auth.authorizer import Authorizer
from nvtopo.auth.decision import Authorize
from nvtopo.auth.rights import METRICS, Right
from nvtopo.auth.user import User
from nvtopo.auth.verdicts import Lifetimes
from nvtopo.errors import ApiError


class Script:
    """An API server of a few holders; ``asked`` is what it was asked."""

    def __init__(self) -> None:
        self.audiences = ("nvtopo",)
        self.holders = {"good": "prometheus", "poor": "stranger"}
        self.away = False
        self.asked: list[str] = []
        self.now = 0.0

    def user(self, token: str) -> User | None:
        self._ask(f"who {token}")
        name = self.holders.get(token)
        return User(username=name) if name else None

    def allowed(self, user: User, right: Right) -> bool:
        self._ask(f"may {user.username} {right}")
        return (user.username, right) == ("prometheus", METRICS)

    def _ask(self, question: str) -> None:
        self.asked.append(question)
        if self.away:
            raise ApiError("no answer")


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def authorize(script: Script) -> Authorize:
    return scrapers(Authorizer(script, LIFETIMES, clock=lambda: script.now, unix_clock=lambda: script.now))


def status(authorize: Authorize, authorization: str) -> int:
    denied = authorize(authorization, "127.0.0.1")
    return denied.status if denied else 200


def test_a_token_and_a_right(script: Script, authorize: Authorize) -> None:
    headers = ("Bearer good", "Bearer poor", "Bearer none", "Basic Z29vZA==", "")
    assert [status(authorize, header) for header in headers] == [200, 403, 401, 401, 401]
    assert script.asked == [
        "who good",
        "may prometheus get /metrics",
        "who poor",
        "may stranger get /metrics",
        "who none",
    ]


def test_reasons_name_what_is_missing(authorize: Authorize) -> None:
    poor, unknown = (authorize(f"Bearer {token}", "127.0.0.1") for token in ("poor", "none"))
    assert poor
    assert poor.reason == "stranger may not get /metrics"
    assert unknown
    assert unknown.reason.startswith("the API server does not know this token: expired, revoked, or not meant for us")
    assert unknown.reason.endswith("(kubectl create token ACCOUNT --audience nvtopo)")


def test_without_the_api_server_the_remembered_are_served_and_others_are_not(
    script: Script, authorize: Authorize, caplog: pytest.LogCaptureFixture
) -> None:
    assert status(authorize, "Bearer good") == 200
    script.away = True
    statuses = [status(authorize, f"Bearer {token}") for token in ("good", "poor", "good", "poor")]
    assert statuses == [200, 503, 200, 503]
    script.now = LIFETIMES.holder
    assert status(authorize, "Bearer good") == 503
    script.away = False
    assert status(authorize, "Bearer good") == 200
    assert [record.levelname for record in caplog.records if record.levelname == "WARNING"] == ["WARNING"]


def test_seventy_junk_tokens_from_its_own_address_do_not_stop_prometheus(script: Script, authorize: Authorize) -> None:
    assert status(authorize, "Bearer good") == 200
    for number in range(70):
        assert status(authorize, f"Bearer {number}") in {401, 429}
    script.asked.clear()
    assert (status(authorize, "Bearer good"), script.asked) == (200, [])
    script.now = LIFETIMES.allowed
    assert (status(authorize, "Bearer good"), len(script.asked)) == (200, 2)


def test_strangers_whose_reviews_hang_do_not_delay_the_next_one_of_prometheus() -> None:
    asked, may_answer = threading.Semaphore(0), threading.Event()

    class Slow(Script):
        def user(self, token: str) -> User | None:
            if token not in self.holders:
                asked.release()
                assert may_answer.wait(10)
            return super().user(token)

    script = Slow()
    authorize = scrapers(Authorizer(script, LIFETIMES, clock=lambda: script.now, unix_clock=lambda: script.now))
    assert status(authorize, "Bearer good") == 200
    script.now = 1000.0
    with ThreadPoolExecutor(MOST_REVIEWS) as threads:
        hanging = [threads.submit(authorize, f"Bearer junk{n}", f"10.0.0.{n}") for n in range(MOST_REVIEWS)]
        assert all(asked.acquire(timeout=10) for _ in hanging)
        assert authorize("Bearer more", "10.0.1.1") == (503, "too many tokens are being reviewed: try again", 1)
        assert status(authorize, "Bearer good") == 200, "although its answers count no more"
        may_answer.set()
        assert [denied.status for one in hanging if (denied := one.result())] == [401] * MOST_REVIEWS


def test_refused_token_is_reviewed_again_after_half_a_minute_and_not_after_two(
    script: Script, authorize: Authorize
) -> None:
    assert [status(authorize, f"Bearer {token}") for token in ("new", "poor")] == [401, 403]
    script.holders = {"new": "prometheus", "poor": "prometheus"}
    script.now = 29.9
    assert [status(authorize, f"Bearer {token}") for token in ("new", "poor")] == [401, 403]
    script.now = 30.0
    assert status(authorize, "Bearer new") == 200


def test_answers_that_never_count_let_nobody_in(script: Script) -> None:
    authorize = scrapers(Authorizer(script, Lifetimes(0.0, 0.0, 0.0), clock=lambda: 0.0, unix_clock=lambda: 0.0))
    assert status(authorize, "Bearer good") == 503
    assert len(script.asked) == 4
