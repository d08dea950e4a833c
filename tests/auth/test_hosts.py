"""The anonymous page of one machine answers only to that machine's names."""

from http import HTTPStatus
from http.client import HTTPConnection

import pytest

from nvtopo.agent.http.page import Listen, MetricsPage
from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.server import GraphServer
from nvtopo.auth.hosts import is_of_this_machine
from nvtopo.kube.memory import MemoryStore

OWN = [
    "",
    "localhost",
    "LOCALHOST:8745",
    "localhost.",
    "127.0.0.1",
    "127.0.0.1:9745",
    "127.8.9.1:1",
    "[::1]",
    "[::1]:9745",
    "::1",
]
FOREIGN = [
    "evil.example",
    "evil.example:9745",
    "10.0.0.7:9745",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "0.0.0.0:9745",
    "localhost:evil",
    "localhost@evil.example",
    "[::1",
    "[::1]x",
    "127.1",
    "2130706433",
    "127.0.0.1, evil.example",
    "\xff",
    "localhost:8745:1",
    "[fe80::1]:9745",
    "a" * 5000,
]


@pytest.mark.parametrize("host", OWN)
def test_a_name_of_this_machine(host: str) -> None:
    assert is_of_this_machine(host)


@pytest.mark.parametrize("host", [host for host in FOREIGN if host != "[::1"])
def test_a_name_of_another(host: str) -> None:
    assert not is_of_this_machine(host)


def status(url: str, path: str, host: str | None) -> int:
    connection = HTTPConnection(url.partition("://")[2], timeout=5)
    connection.putrequest("GET", path, skip_host=True)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/other"])
def test_the_agents_page_refuses_other_names(path: str) -> None:
    with MetricsPage([tuple], lambda: True, listen=Listen("127.0.0.1", 0)) as page:
        assert status(page.url, path, "evil.example") == HTTPStatus.MISDIRECTED_REQUEST
        assert status(page.url, path, "localhost") != HTTPStatus.MISDIRECTED_REQUEST
        assert status(page.url, path, None) != HTTPStatus.MISDIRECTED_REQUEST


@pytest.mark.slow
def test_a_page_with_tokens_or_for_others_has_any_name() -> None:
    for listen in (Listen("127.0.0.1", 0, authorize=lambda *_: None), Listen("0.0.0.0", 0)):  # noqa: S104 - as in a pod
        with MetricsPage([tuple], lambda: True, listen=listen) as page:
            url = page.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - as above
            assert status(url, "/metrics", "node-a.example:9745") == HTTPStatus.OK


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/", "/v1/graph", "/metrics", "/healthz"])
def test_the_graphs_page_refuses_other_names(path: str) -> None:
    with GraphServer(Aggregator(MemoryStore())) as server:
        assert status(server.url, path, "evil.example") == HTTPStatus.MISDIRECTED_REQUEST
        assert status(server.url, path, f"localhost:{server.port}") != HTTPStatus.MISDIRECTED_REQUEST
