"""Who may read, by what the API server's reviews say: a scripted reviewer, and real HTTP in front."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from nvtopo.aggregator import access as access_module
from nvtopo.aggregator import openapi
from nvtopo.aggregator.access import LIFETIMES, Access
from nvtopo.aggregator.server import GraphServer
from nvtopo.auth.authorizer import Authorizer
from nvtopo.auth.authorizer import Reviews as Reviewing
from nvtopo.auth.review_budget import BURST
from nvtopo.auth.rights import METRICS, PathRight, Right, TopologyRight
from nvtopo.auth.user import User
from nvtopo.cli.graph import command
from nvtopo.cluster.inventory import Listed
from nvtopo.errors import ApiError, Forbidden, NvtopoError, ParseError, ReadError
from tests.aggregator.running import PATIENCE, Got, Script, get, running
from tests.cluster import machines

pytestmark = pytest.mark.slow

NODE = machines.name(1, 3)
GUARDED = {
    "/v1/graph": "list",
    "/v1/graph/watch": "watch",
    "/v1/nodes": "list",
    "/v1/nodes/{name}": "get",
    "/v1/nodes/{name}/pairs": "get",
    "/v1/domains": "list",
    "/v1/domains/{id}": "list",
    "/v1/drift": "list",
    "/v1/history": "list",
}
RIGHTS = {path: TopologyRight(verb) for path, verb in GUARDED.items()} | {"/metrics": METRICS}


class Reviews:
    """An API server's reviews, as the test has them."""

    def __init__(self) -> None:
        self.audiences: tuple[str, ...] = ("nvtopo",)
        self.users = {"good": User(username="reader"), "poor": User(username="stranger")}
        self.rights: set[tuple[str, Right]] = {
            ("reader", TopologyRight(verb, name)) for verb in ("get", "list", "watch") for name in ("", NODE)
        }
        self.error: NvtopoError | None = None
        self.asked: list[str] = []

    def user(self, token: str) -> User | None:
        self._ask(f"token {token}")
        return self.users.get(token)

    def allowed(self, user: User, right: Right) -> bool:
        self._ask(f"{user.username} {right}")
        return (user.username, right) in self.rights

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.error is not None:
            raise self.error


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def reviews() -> Reviews:
    return Reviews()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@contextmanager
def guarded(reviews: Reviewing, clock: Clock | None = None) -> Iterator[GraphServer]:
    with ExitStack() as stack:
        aggregator = stack.enter_context(running(Script(Listed(machines.racks(1)))))
        assert aggregator.wait(0, PATIENCE) is not None
        access = stack.enter_context(Access(Authorizer(reviews, LIFETIMES, clock=clock or Clock())))
        yield stack.enter_context(GraphServer(aggregator, access=access))


@pytest.fixture
def server(reviews: Reviews, clock: Clock) -> Iterator[GraphServer]:
    with guarded(reviews, clock) as server:
        yield server


def ask(server: GraphServer, path: str = "/v1/graph", shown: str = "good", method: str = "GET") -> Got:
    return get(server, path, {"Authorization": f"Bearer {shown}"}, method)


def test_what_holds_facts_takes_a_right_and_nothing_else_does() -> None:
    rights = {path: operation.right for path, operation in openapi.PATHS.items()}
    assert {path: right for path, right in rights.items() if right} == RIGHTS
    assert [path for path, right in rights.items() if not right] == [
        "/",
        "/page/{file}",
        "/healthz",
        "/readyz",
        "/openapi.json",
    ]


@pytest.mark.parametrize("path", ["/v1/graph", "/v1/nodes", f"/v1/nodes/{NODE}"])
def test_holder_of_the_right_is_answered(server: GraphServer, path: str) -> None:
    assert ask(server, path).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", [path.replace("{name}", NODE) for path in GUARDED])
@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic Z29vZA==", "good", "Bearer unknown", "Bearer good x"],
    ids=["none", "scheme", "blank", "basic", "bare", "unknown", "two"],
)
def test_without_a_token_that_is_known_it_is_401(server: GraphServer, header: str, path: str, method: str) -> None:
    got = get(server, path, {"Authorization": header} if header else {}, method)
    assert (got.status, got.headers["www-authenticate"]) == (401, "Bearer")
    if method == "GET":
        assert got.json["error"].endswith("(kubectl create token ACCOUNT --audience nvtopo)")


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/v1/graph", "list nodetopologies.nvtopo.io"),
        ("/v1/graph/watch", "watch nodetopologies.nvtopo.io"),
        ("/v1/nodes", "list nodetopologies.nvtopo.io"),
        (f"/v1/nodes/{NODE}", f'get nodetopologies.nvtopo.io "{NODE}"'),
    ],
)
def test_without_the_right_it_is_403_and_says_which(server: GraphServer, path: str, what: str) -> None:
    got = ask(server, path, "poor")
    assert (got.status, got.json) == (403, {"error": f"stranger may not {what}"})


def test_right_to_one_node_is_no_right_to_another_nor_to_know_whether_it_is_there(
    server: GraphServer, reviews: Reviews
) -> None:
    reviews.rights = {("reader", TopologyRight("get", NODE))}
    statuses = [ask(server, f"/v1/nodes/{name}").status for name in (NODE, machines.name(1, 4), "nobody")]
    assert statuses == [200, 403, 403]
    assert ask(server).status == 403


@pytest.mark.parametrize(
    "error",
    [
        ApiError("no answer"),
        ApiError("500", status=500),
        Forbidden("403: the aggregator may not review", status=403),
        Forbidden("401", status=401),
        ParseError("no review"),
    ],
    ids=["silence", "500", "403", "401", "garbage"],
)
def test_without_a_review_it_is_503_and_never_open(server: GraphServer, reviews: Reviews, error: NvtopoError) -> None:
    reviews.error = error
    got = ask(server)
    assert (got.status, got.headers["retry-after"]) == (503, "5")
    assert got.json == {"error": "the API server does not review tokens at the moment: try again"}
    reviews.error = None
    assert ask(server).status == 200, "a failure is not remembered"


def test_api_server_that_fails_between_the_two_reviews_opens_nothing(server: GraphServer, reviews: Reviews) -> None:
    assert ask(server).status == 200
    reviews.error = ApiError("gone")
    assert ask(server, f"/v1/nodes/{NODE}").status == 503


def test_answers_are_remembered_for_seconds_and_no_longer(server: GraphServer, reviews: Reviews, clock: Clock) -> None:
    for _ in range(3):
        assert ask(server).status == 200
        assert ask(server, shown="unknown").status == 401
    assert reviews.asked == ["token good", "reader list nodetopologies.nvtopo.io", "token unknown"]
    reviews.users, reviews.rights = {"unknown": User(username="reader")}, {("reader", TopologyRight("list"))}
    clock.now = LIFETIMES.holder - 0.1
    assert (ask(server).status, ask(server, shown="unknown").status) == (200, 401)
    clock.now = LIFETIMES.holder
    assert (ask(server).status, ask(server, shown="unknown").status) == (401, 200)


def test_metrics_take_the_right_to_get_that_path(server: GraphServer, reviews: Reviews) -> None:
    assert get(server, "/metrics").status == 401
    refused = ask(server, "/metrics")
    assert (refused.status, refused.json) == (403, {"error": "reader may not get /metrics"})
    reviews.users["scraper"] = User(username="prometheus")
    reviews.rights = {("prometheus", PathRight("/metrics"))}
    assert [ask(server, path, "scraper").status for path in ("/metrics", "/v1/graph")] == [200, 403]


def test_flood_from_one_address_is_told_when_to_come_again(server: GraphServer, reviews: Reviews) -> None:
    assert ask(server).status == 200
    refused = [ask(server, shown=f"t{number}") for number in range(70)]
    assert {got.status for got in refused} == {401, 429}
    assert refused[-1].headers["retry-after"] == "1"
    assert len(reviews.asked) == BURST
    assert ask(server).status == 200


def test_review_that_hangs_keeps_nobody_waiting_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module, "_REVIEW_SECONDS", 0.2)
    released = threading.Event()

    class Hanging(Reviews):
        def user(self, token: str) -> User | None:
            released.wait(PATIENCE)
            return super().user(token)

    with guarded(Hanging()) as server:
        assert ask(server).status == 503
        assert get(server, "/healthz").status == 200
        released.set()


def test_strangers_whose_reviews_hang_delay_no_reader_that_is_known(clock: Clock) -> None:
    began, released = threading.Semaphore(0), threading.Event()

    class Hanging(Reviews):
        def user(self, token: str) -> User | None:
            if token not in self.users:
                began.release()
                assert released.wait(PATIENCE)
            return super().user(token)

    with guarded(Hanging(), clock) as server, ThreadPoolExecutor(12) as strangers:
        assert ask(server).status == 200
        clock.now = LIFETIMES.holder
        hanging = [strangers.submit(ask, server, shown=f"junk{number}") for number in range(12)]
        assert began.acquire(timeout=PATIENCE)
        assert ask(server).status == 200, "reviewed again, beside them"
        released.set()
        assert {one.result().status for one in hanging} == {401}


def test_probes_and_page_stay_open(server: GraphServer, reviews: Reviews) -> None:
    reviews.error = ApiError("away")
    for path in ("/", "/page/page.js", "/healthz", "/readyz", "/openapi.json"):
        assert get(server, path).status == 200
    assert reviews.asked == []


def test_description_says_where_a_token_is_asked_for(server: GraphServer) -> None:
    described = get(server, "/openapi.json").json
    assert described["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}
    reads = {path: methods["get"] for path, methods in described["paths"].items() if "get" in methods}
    with_token = {path for path, read in reads.items() if "security" in read}
    assert with_token == {*RIGHTS, *openapi.MORE}
    assert all({"401", "403"} <= reads[path]["responses"].keys() for path in with_token)


def test_graph_command_shows_its_token_and_what_the_aggregator_says(server: GraphServer, tmp_path: Path) -> None:
    def graph(token: str) -> str:
        file = tmp_path / "token"
        file.write_text(f"{token}\n")
        arguments = ("--server", server.url, "--token-file", str(file))
        return CliRunner().invoke(command, arguments, catch_exceptions=False).output

    assert f"rack-{machines.serial(1)}" in graph("good")
    with pytest.raises(ReadError, match=r"answered 403 stranger may not list nodetopologies\.nvtopo\.io"):
        graph("poor")
    with pytest.raises(ReadError, match=r"answered 401 the API server does not know this token"):
        graph("other")
    with pytest.raises(ReadError, match="expected a token"):
        graph("tökén")
