"""Who may scrape by the API server's word: what is asked, what is remembered, and what happens without it."""

import pytest

from nvtopo.agent.review import ALLOWED_SECONDS, KNOWN_SECONDS, REFUSED_SECONDS, Reviewed
from nvtopo.errors import ApiError
from nvtopo.kube.review import User


class Script:
    """An API server of a few holders; ``asked`` is what it was asked."""

    def __init__(self) -> None:
        self.holders = {"good": "prometheus", "poor": "stranger"}
        self.rights = {"prometheus"}
        self.away = False
        self.asked: list[str] = []

    def user(self, token: str) -> User | None:
        self._ask(f"who {token}")
        name = self.holders.get(token)
        return User(username=name) if name else None

    def may_get(self, user: User, path: str) -> bool:
        self._ask(f"may {user.username} {path}")
        return user.username in self.rights

    def _ask(self, question: str) -> None:
        self.asked.append(question)
        if self.away:
            raise ApiError("no answer")


@pytest.fixture
def script() -> Script:
    return Script()


def status(reviewed: Reviewed, authorization: str) -> str:
    refusal = reviewed(authorization)
    return refusal.status.split()[0] if refusal else "200"


def test_a_token_and_a_right(script: Script) -> None:
    reviewed = Reviewed(script)
    assert status(reviewed, "Bearer good") == "200"
    assert status(reviewed, "Bearer poor") == "403"
    assert status(reviewed, "Bearer none") == "401"
    assert status(reviewed, "Basic Z29vZA==") == "401"
    assert status(reviewed, "") == "401"
    assert script.asked == ["who good", "may prometheus /metrics", "who poor", "may stranger /metrics", "who none"]


def test_what_is_remembered_and_for_how_long(script: Script) -> None:
    now = 0.0
    reviewed = Reviewed(script, lambda: now)
    for _ in range(5):
        assert status(reviewed, "Bearer good") == "200"
        assert status(reviewed, "Bearer poor") == "403"
    assert len(script.asked) == 4
    script.rights, script.asked = {"stranger"}, []
    now = REFUSED_SECONDS
    assert status(reviewed, "Bearer poor") == "200"
    assert script.asked == ["may stranger /metrics"], "its holder is remembered longer"
    script.holders, script.asked, now = {}, [], KNOWN_SECONDS
    assert status(reviewed, "Bearer good") == "401"
    assert script.asked == ["who good"]
    assert KNOWN_SECONDS < ALLOWED_SECONDS


def test_without_the_api_server_the_remembered_are_served_and_others_are_not(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    reviewed = Reviewed(script, lambda: now)
    assert status(reviewed, "Bearer good") == "200"
    script.away = True
    assert status(reviewed, "Bearer good") == "200"
    assert status(reviewed, "Bearer poor") == "503"
    assert status(reviewed, "Bearer good") == "200"
    assert status(reviewed, "Bearer poor") == "503"
    now = KNOWN_SECONDS
    assert status(reviewed, "Bearer good") == "503"
    script.away = False
    assert status(reviewed, "Bearer good") == "200"
    assert [record.levelname for record in caplog.records if record.levelname == "WARNING"] == ["WARNING"]


def test_many_tokens_are_forgotten_and_not_kept(script: Script) -> None:
    reviewed = Reviewed(script)
    assert status(reviewed, "Bearer good") == "200"
    for number in range(100):
        assert status(reviewed, f"Bearer {number}") == "401"
    script.asked = []
    assert status(reviewed, "Bearer good") == "200"
    assert script.asked == ["who good", "may prometheus /metrics"]
