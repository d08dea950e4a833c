"""``nvtopo graph --cluster NAME=URL``, given several times: who does not answer is shown, and keeps nobody."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from nvtopo.cli import clusters
from nvtopo.cli.graph import command
from nvtopo.errors import ReadError, UsageError
from nvtopo.exporters import document
from nvtopo.model.formats.elapsed import elapsed
from tests.cluster import machines

EAST = document.encode(document.of(machines.graph(machines.racks(1))))
WEST = document.encode(document.of(machines.graph({"hgx-7": machines.hgx()})))


class _Handler(BaseHTTPRequestHandler):
    """Answers with one graph, and notes which tokens it was shown."""

    def __init__(self, body: bytes, shown: list[str | None], age: str, *arguments: Any) -> None:
        self._body, self._shown, self._age = body, shown, age
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self._shown.append(self.headers["Authorization"])
        self.send_response(200)
        if self._age:
            self.send_header("Age", self._age)
        self.send_header("Content-Length", str(len(self._body)))
        self.end_headers()
        self.wfile.write(self._body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""


@contextmanager
def served(body: bytes, shown: list[str | None] | None = None, age: str = "") -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, body, [] if shown is None else shown, age))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def closed() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def graph(*arguments: str) -> str:
    return CliRunner().invoke(command, arguments, catch_exceptions=False).output


@pytest.mark.slow
def test_each_cluster_is_below_its_name_and_one_that_is_not_reached_says_so() -> None:
    with served(EAST) as east, served(WEST) as west:
        gone = closed()
        given = [f"--cluster={name}={url}" for name, url in (("east", east), ("edge", gone), ("west", west))]
        text = graph(*given)
        found = msgspec.json.decode(graph(*given, "--format", "json"))["clusters"]
    assert text.index(f"east  {east}\n18 nodes") < text.index(f"edge  {gone}\nnot reached: {gone}/v1/graph: ")
    assert f"west  {west}\n1 node" in text
    assert list(found) == ["east", "edge", "west"]
    assert len(found["east"]["graph"]["nodes"]) == 18
    assert (found["east"]["error"], found["east"]["server"]) == (None, east)
    assert found["edge"]["graph"] is None
    assert "refused" in found["edge"]["error"]
    assert [(one["stale"], one["ageSeconds"]) for one in found.values()] == [(False, 0), (True, None), (False, 0)]


@pytest.mark.slow
def test_a_graph_that_may_be_old_is_stale_and_says_since_when() -> None:
    with served(EAST, age="754") as east, served(WEST, age="-3, soon") as west:
        given = [f"--cluster=east={east}", f"--cluster=west={west}"]
        text = graph(*given)
        found = msgspec.json.decode(graph(*given, "--format", "json"))["clusters"]
        alone = CliRunner().invoke(command, [f"--server={east}"], catch_exceptions=False)
    assert f"east  {east}\nstale: its API server has not answered for 12 min\n18 nodes" in text
    assert f"west  {west}\n1 node" in text, "what is no age is none"
    assert [(one["stale"], one["ageSeconds"]) for one in found.values()] == [(True, 754), (False, 0)]
    assert alone.exit_code == 0
    assert alone.stderr == f"nvtopo: {east}: stale: its API server has not answered for 12 min\n"


@pytest.mark.slow
def test_an_aggregator_of_another_cluster_says_so() -> None:
    named = replace(document.decode(WEST), cluster="west")
    with served(document.encode(named)) as url:
        text = graph(f"--cluster=east={url}", f"--cluster=west={url}")
    assert f"east  {url}\nits aggregator calls itself west\n1 node" in text
    assert f"west  {url}\n1 node" in text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172_800, "2 d")],
)
def test_what_has_lasted_is_said_in_its_largest_unit(seconds: int, said: str) -> None:
    assert elapsed(seconds) == said


@pytest.mark.slow
def test_a_filter_holds_for_all_and_one_of_them_must_have_it() -> None:
    with served(EAST) as east, served(WEST) as west:
        given = [f"--cluster=east={east}", f"--cluster=west={west}", "--format=json"]
        found = msgspec.json.decode(graph(*given, "--node", "hgx-7"))["clusters"]
        assert [list(found[name]["graph"]["nodes"]) for name in ("east", "west")] == [[], ["hgx-7"]]
        with pytest.raises(UsageError, match="east: no node 'nobody' in the graph; west: no node"):
            graph(*given, "--node", "nobody")


@pytest.mark.slow
def test_a_token_goes_to_its_own_cluster_alone(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    east_shown, west_shown = list[str | None](), list[str | None]()
    with served(EAST, east_shown) as east, served(WEST, west_shown) as west:
        graph(f"--cluster=east={east}", f"--cluster=west={west}", f"--cluster-token=west={token}")
    assert (east_shown, west_shown) == ([None], ["Bearer secret"])


@pytest.mark.slow
def test_if_none_answers_that_is_an_error_with_each_reason() -> None:
    with pytest.raises(ReadError, match=r"a: http://.*refused; b: http://.*refused"):
        graph(f"--cluster=a={closed()}", f"--cluster=b={closed()}")


@pytest.mark.parametrize(
    ("servers", "tokens", "said"),
    [
        (["http://127.0.0.1:1"], [], "expected NAME=URL, got 'http://127.0.0.1:1'"),
        (["a="], [], "expected NAME=URL"),
        (["\x1b[31m=http://x"], [], "expected NAME=URL"),
        (["a=http://x", "a=http://y"], [], "expected a once, got it twice"),
        (["a=http://x"], ["b=file"], "expected the name of a --cluster"),
        ([f"a{number}=http://x" for number in range(65)], [], "expected at most 64, got 65"),
    ],
)
def test_what_can_not_be_asked_is_refused(servers: list[str], tokens: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        clusters.named(servers, tokens)


@pytest.mark.parametrize("more", ["--watch", "--server=http://127.0.0.1:1", "--from=."])
def test_other_sources_do_not_go_with_it(more: str) -> None:
    with pytest.raises(UsageError):
        graph("--cluster=a=http://127.0.0.1:1", more)
