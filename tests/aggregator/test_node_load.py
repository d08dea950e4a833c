"""The load of nodes by Prometheus: what was told, and how long that is true."""

from urllib.parse import parse_qs, urlsplit

import pytest

from nvtopo.aggregator.node_load import NodeLoads, Queries
from nvtopo.errors import ReadError
from nvtopo.placement.request import Load
from tests.wire.test_prometheus import answer

QUERIES = Queries("http://prometheus:9090", "waiting", "hits", token=lambda: "bearer")


class Server:
    """Answers by query, until it is away."""

    def __init__(self) -> None:
        self.now = 100.0
        self.away = False
        self.shown: set[str] = set()
        self.answers = {"waiting": answer(({"node": "a"}, "3"), ({"node": "b"}, "0")), "hits": answer()}

    def get(self, url: str, token: str) -> bytes:
        self.shown.add(token)
        if self.away:
            raise ReadError(f"{url}: connection refused")
        return self.answers[parse_qs(urlsplit(url).query)["query"][0]]


@pytest.fixture(name="server")
def _server() -> Server:
    return Server()


@pytest.fixture(name="loads")
def _loads(server: Server) -> NodeLoads:
    return NodeLoads(QUERIES, get=server.get, clock=lambda: server.now)


def test_before_an_answer_nothing_is_known(loads: NodeLoads) -> None:
    assert not loads.known(1e9)
    assert not any(family.samples for family in loads.families())


def test_each_term_by_node(loads: NodeLoads, server: Server) -> None:
    server.answers["hits"] = answer(({"node": "b"}, "0.75"))
    assert not loads.look()
    assert loads.known(60) == {"a": Load(3, None), "b": Load(0, 250_000)}
    assert server.shown == {"bearer"}


def test_what_is_too_old_is_not_known(loads: NodeLoads, server: Server) -> None:
    loads.look()
    server.now, server.away = 159.0, True
    assert "connection refused" in loads.look()
    assert loads.known(60) == {"a": Load(3, None), "b": Load(0, None)}
    server.now = 161.0
    assert not loads.known(60)


@pytest.mark.parametrize(
    ("query", "value"), [("waiting", "-1"), ("waiting", "1e300"), ("hits", "1.5"), ("hits", "-0.1")]
)
def test_a_value_that_cannot_be_is_not_known_and_said(loads: NodeLoads, server: Server, query: str, value: str) -> None:
    server.answers[query] = answer(({"node": "a"}, value))
    assert "1 series are of no one node, or no value of it" in loads.look()
    found = loads.known(60).get("a", Load())
    assert (found.queue if query == "waiting" else found.misses) is None


def test_a_node_that_is_no_longer_told_of_is_not_known(loads: NodeLoads, server: Server) -> None:
    loads.look()
    server.answers["waiting"] = answer(({"node": "b"}, "1"))
    loads.look()
    assert loads.known(60) == {"b": Load(1, None)}


def test_the_page_has_the_age_of_each_answer(loads: NodeLoads, server: Server) -> None:
    loads.look()
    server.now = 130.0
    assert [(family.series.name, family.samples) for family in loads.families()] == [
        ("nvtopo_aggregator_load_nodes", [('{term="queue"}', 2), ('{term="cache"}', 0)]),
        ("nvtopo_aggregator_load_age_seconds", [('{term="queue"}', 30), ('{term="cache"}', 30)]),
    ]
