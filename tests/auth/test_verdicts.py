"""What is remembered of tokens and what is reviewed: tables, without threads, I/O or sleeps."""

import base64
import json
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.auth.bearer import EXPIRY_LEEWAY_SECONDS, claims_of, token_in
from nvtopo.auth.decision import AccessDenied
from nvtopo.auth.lru import Lru
from nvtopo.auth.review_budget import BURST, PER_SECOND, client_of
from nvtopo.auth.rights import METRICS, Right, TopologyRight
from nvtopo.auth.user import User
from nvtopo.auth.verdicts import Allowed, Decide, Identify, Lifetimes, Request, Step, Verdicts

LIFETIMES = Lifetimes(holder=120.0, allowed=300.0, refused=30.0)
PROMETHEUS = User(username="prometheus")
HERE, ELSEWHERE = "10.0.0.1", "10.0.0.2"


class Server:
    """An API server with some users, and the verdicts about it; ``asked`` counts reviews."""

    def __init__(self) -> None:
        self.verdicts = Verdicts(LIFETIMES, ("nvtopo",))
        self.users = {"good": PROMETHEUS, "poor": User(username="stranger")}
        self.rights = {("prometheus", METRICS)}
        self.asked: list[Identify | Decide] = []

    def request(self, token: str, now: float, *, right: Right = METRICS, address: str = HERE) -> Step:
        """Ask and answer until there is a decision."""
        while True:
            step = self.verdicts.next(Request(f"Bearer {token}", right, address), now, now)
            if isinstance(step, Allowed | AccessDenied):
                return step
            self.asked.append(step)
            if isinstance(step, Identify):
                self.verdicts.identified(step.token, self.users.get(step.token), now)
            else:
                allowed = (step.user.username, step.right) in self.rights
                self.verdicts.decided(step, allowed=allowed, now=now)

    def status(self, token: str, now: float, *, right: Right = METRICS, address: str = HERE) -> int:
        step = self.request(token, now, right=right, address=address)
        return step.status if isinstance(step, AccessDenied) else 200

    def reviews(self) -> list[str]:
        """What was asked since the last call."""
        asked, self.asked = self.asked, []
        return [type(question).__name__ for question in asked]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic Z29vZA==", "good"])
def test_request_without_a_token_is_unauthorized_and_reviews_nothing(server: Server, header: str) -> None:
    step = server.verdicts.next(Request(header, METRICS, HERE), 0.0, 0.0)
    assert isinstance(step, AccessDenied)
    assert (step.status, step.headers) == (HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"})


@pytest.mark.parametrize(
    ("token", "first", "seconds", "again"),
    [
        ("good", ["Identify", "Decide"], 119.9, []),
        ("good", ["Identify", "Decide"], 120.0, ["Identify"]),
        ("good", ["Identify", "Decide"], 300.0, ["Identify", "Decide"]),
        ("poor", ["Identify", "Decide"], 29.9, []),
        ("poor", ["Identify", "Decide"], 30.0, ["Decide"]),
        ("poor", ["Identify", "Decide"], 120.0, ["Identify", "Decide"]),
        ("junk", ["Identify"], 29.9, []),
        ("junk", ["Identify"], 30.0, ["Identify"]),
    ],
)
def test_answers_count_as_long_as_their_lifetimes(
    server: Server, token: str, first: list[str], seconds: float, again: list[str]
) -> None:
    status = server.status(token, 0.0)
    assert server.reviews() == first
    assert server.status(token, seconds) == status == {"good": 200, "poor": 403, "junk": 401}[token]
    assert server.reviews() == again


def test_what_was_refused_is_allowed_once_the_api_server_says_so(server: Server) -> None:
    assert [server.status(token, 0.0) for token in ("poor", "junk")] == [403, 401]
    server.users["junk"] = PROMETHEUS
    server.rights.add(("stranger", METRICS))
    assert [server.status(token, 30.0) for token in ("poor", "junk")] == [200, 200]


def test_revoked_token_is_refused_and_its_rights_are_forgotten(server: Server) -> None:
    assert server.status("good", 0.0) == 200
    del server.users["good"]
    assert server.status("good", 120.0) == 401
    server.users["good"] = PROMETHEUS
    server.rights.clear()
    assert server.status("good", 150.0) == 403


def test_rights_of_one_user_are_not_another_s(server: Server) -> None:
    assert server.status("good", 0.0) == 200
    server.users["good"] = User(username="prometheus", groups=("others",))
    server.rights.clear()
    assert server.status("good", 120.0) == 403, "the account is another one now"


def test_answer_about_a_former_holder_is_dropped(server: Server) -> None:
    server.verdicts.identified("good", PROMETHEUS, 0.0)
    late = Decide("good", PROMETHEUS, METRICS)
    server.verdicts.identified("good", User(username="stranger"), 0.0)
    server.verdicts.decided(late, allowed=True, now=0.0)
    step = server.verdicts.next(Request("Bearer good", METRICS, HERE), 0.0, 0.0)
    assert step == Decide("good", User(username="stranger"), METRICS)


def test_junk_tokens_never_drop_a_good_one(server: Server) -> None:
    assert server.status("good", 0.0) == 200
    for number in range(5000):
        assert server.status(f"junk{number}", 0.0, address=f"10.1.{number // 250}.{number % 250}") == 401
    server.reviews()
    assert (server.status("good", 1.0), server.reviews()) == (200, [])


@pytest.mark.parametrize("seconds", [0, 1, 7])
def test_one_address_causes_a_bounded_number_of_reviews_a_second(server: Server, seconds: int) -> None:
    statuses = [server.status(f"junk{tick}", tick / 100) for tick in range(seconds * 100 + 100)]
    assert len(server.reviews()) <= BURST + PER_SECOND * (seconds + 1)
    assert set(statuses) == {401, 429}
    assert server.status("other", seconds + 1.0, address=ELSEWHERE) == 401, "others are not affected"


def test_rights_that_are_asked_for_are_charged_as_well(server: Server) -> None:
    statuses = [server.status("good", 0.0, right=TopologyRight("get", f"n{number}")) for number in range(100)]
    assert (statuses.count(403), statuses.count(429)) == (BURST - 1, 101 - BURST)


def test_refusal_for_the_rate_says_when_to_come_again(server: Server) -> None:
    denied = [server.request(f"junk{number}", 0.0) for number in range(BURST + 1)][-1]
    assert isinstance(denied, AccessDenied)
    assert (denied.status, denied.headers) == (HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": "1"})


def test_token_that_was_good_is_reviewed_again_without_charge(server: Server) -> None:
    assert server.status("good", 0.0) == 200
    for number in range(100):
        server.status(f"junk{number}", 300.0)
    server.reviews()
    assert server.status("good", 300.0) == 200, "although its address has no reviews left"
    assert server.reviews() == ["Identify", "Decide"]


def test_token_that_was_good_is_told_from_one_that_never_was(server: Server) -> None:
    for token in ("good", "junk"):
        server.status(token, 0.0)
    known = {
        token: server.verdicts.was_good(Request(f"Bearer {token}", METRICS, HERE))
        for token in ("good", "junk", "new", "")
    }
    assert known == {"good": True, "junk": False, "new": False, "": False}


def test_reviews_without_charge_are_bounded_too(server: Server) -> None:
    assert server.status("good", 0.0) == 200
    request = Request("Bearer good", METRICS, HERE)
    steps = [server.verdicts.next(request, 300.0 + number / 1000, 300.0) for number in range(900)]
    assert sum(isinstance(step, Identify) for step in steps) <= 1 + BURST + PER_SECOND, "the API server is away"


def _jwt(claims: dict[str, Any]) -> str:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{middle}.c2ln"


@pytest.mark.parametrize(
    ("claims", "asked"),
    [
        ({"exp": 1000 - EXPIRY_LEEWAY_SECONDS}, False),
        ({"exp": 1001 - EXPIRY_LEEWAY_SECONDS}, True),
        ({"exp": "soon"}, True),
        ({"aud": ["https://kubernetes.default.svc"], "kubernetes.io": {}}, False),
        ({"kubernetes.io": {}}, False),
        ({"aud": ["other", "nvtopo"], "kubernetes.io": {}}, True),
        ({"aud": "nvtopo", "kubernetes.io": {}}, True),
        ({"aud": "oidc-client"}, True),
        ({}, True),
    ],
)
def test_claims_are_looked_at_before_the_api_server_is_asked(
    server: Server, claims: dict[str, Any], asked: bool
) -> None:
    assert server.status(_jwt(claims), 1000.0) == 401
    assert server.reviews() == (["Identify"] if asked else [])


@given(st.text() | st.binary().map(lambda body: f"a.{base64.urlsafe_b64encode(body).decode()}.b"))
def test_any_text_has_claims_or_none(token: str) -> None:
    claims_of(token)
    token_in(token)


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_client_is_an_ipv4_address_or_an_ipv6_subnet(address: str, client: str) -> None:
    assert client_of(address) == client


def test_map_drops_what_was_not_used_for_the_longest_time() -> None:
    found: Lru[str, int] = Lru(2)
    found.put("a", 1)
    found.put("b", 2)
    assert found.get("a") == 1
    found.put("c", 3)
    assert (len(found), found.get("a"), found.get("b"), found.get("c")) == (2, 1, None, 3)


def test_right_that_was_refused_is_charged_when_it_is_reviewed_again(server: Server) -> None:
    assert server.status("poor", 0.0) == 403
    for number in range(100):
        server.status(f"junk{number}", 30.0)
    assert server.status("poor", 30.0) == 429
