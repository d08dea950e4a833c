import signal
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from nvtopo.aggregator.server import GraphServer
from nvtopo.cli.graph import command
from nvtopo.cluster.inventory import Listed
from nvtopo.errors import ParseError, ReadError, UsageError
from tests.aggregator.running import PATIENCE, Script, running
from tests.aggregator.test_fleet import capture
from tests.cluster import machines

pytestmark = pytest.mark.slow


def graph(*arguments: str) -> str:
    return CliRunner().invoke(command, arguments, catch_exceptions=False).output


def test_captures_as_racks(tmp_path: Path) -> None:
    capture(tmp_path, "1.json", "node-a")
    text = graph("--from", str(tmp_path))
    assert text.startswith("1 node · 4 GPUs · 0 NVLink domains")
    assert "node-a  ■ ■ ■ ■" in text


def test_captures_as_json(tmp_path: Path) -> None:
    capture(tmp_path, "1.json", "node-a")
    document = msgspec.json.decode(graph("--from", str(tmp_path), "--format", "json"))
    assert document["nodes"]["node-a"]["gpus"] == 4
    assert document["nodes"]["node-a"]["tiers"] == {}


def test_the_graph_of_an_aggregator() -> None:
    with running(Script(Listed(machines.racks(1)))) as aggregator:
        assert aggregator.wait(0, PATIENCE) is not None
        with GraphServer(aggregator) as server:
            assert f"rack-{machines.serial(1)}" in graph("--server", server.url)


def test_an_aggregator_that_is_not_ready_is_an_error() -> None:
    with (
        running(Script()) as aggregator,
        GraphServer(aggregator) as server,
        pytest.raises(ReadError, match="answered 503"),
    ):
        graph("--server", server.url)


def test_an_aggregator_that_is_not_there_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ReadError, match=f"http://127.0.0.1:{port}/v1/graph: .*refused"):
        graph("--server", f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "localhost:8080"])
def test_only_http_is_asked(url: str) -> None:
    with pytest.raises(UsageError, match="--server: expected a URL"):
        graph("--server", url)


def test_one_source_at_a_time(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--from and --server"):
        graph("--from", str(tmp_path), "--server", "http://127.0.0.1:1")


def test_a_malformed_capture_is_one_line_and_exit_3(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ParseError, match=r"bad\.json"):
        graph("--from", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "nvtopo", "graph", "--from", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (3, "", 1)


@pytest.mark.parametrize(
    ("arguments", "asks"),
    [
        (("--listen", "127.0.0.1:0"), False),
        (("--listen", "[::1]:0"), False),
        (("--listen", "0.0.0.0:0"), True),
        (("--listen", "127.0.0.1:0", "--require-token"), True),
        (("--listen", "0.0.0.0:0", "--anonymous"), False),
        (("--listen", "127.0.0.1:0", "--gangs", "--allocations"), False),
    ],
    ids=["loopback", "loopback6", "all", "asked", "opened", "gangs"],
)
def test_the_aggregator_asks_for_tokens_except_on_loopback_and_ends_cleanly(
    tmp_path: Path, arguments: tuple[str, ...], asks: bool
) -> None:
    config = tmp_path / "config"
    config.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\n"
        "clusters: [{name: x, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "contexts: [{name: x, context: {cluster: x, user: x}}]\nusers: [{name: x, user: {}}]\n"
    )
    program = [sys.executable, "-m", "nvtopo", "aggregator", "--kubeconfig", str(config), *arguments]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while '"message": "serving"' not in (line := process.stderr.readline()):
            assert process.poll() is None
        said = msgspec.json.decode(line)
        port = said["url"].rpartition(":")[2]
        address = "::1" if "[" in said["url"] else "127.0.0.1"
        with socket.create_connection((address, int(port)), timeout=PATIENCE) as connection:
            connection.sendall(b"GET /v1/graph HTTP/1.0\r\n\r\n")
            assert connection.recv(100).split()[1] == (b"401" if asks else b"503"), "503: no graph yet"
        assert said["requires_token"] is asks
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 0
    assert "Traceback" not in rest


def test_a_part_of_an_aggregators_graph() -> None:
    with running(Script(Listed(machines.racks(2)))) as aggregator:
        assert aggregator.wait(0, PATIENCE) is not None
        with GraphServer(aggregator) as server:
            by_name = graph("--server", server.url, "--domain", f"rack-{machines.serial(2)}", "--format", "json")
            by_id = graph("--server", server.url, "--domain", machines.domain_id(2), "--format", "json")
            assert by_name == by_id
            assert len(msgspec.json.decode(by_id)["nodes"]) == 18
            assert len(graph("--server", server.url, "--tier", "nvlinkDomain").splitlines()) == 3
            for option in ("--domain", "--node"):
                with pytest.raises(UsageError, match=r"no .* 'x' in the graph"):
                    graph("--server", server.url, option, "x")


def test_only_an_aggregator_can_be_watched(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--watch needs --server"):
        graph("--from", str(tmp_path), "--watch")
