"""``nvtopo bundle --server``: graph and history of an aggregator, of all nodes or of those named, scrubbed."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import Result

from nvtopo.aggregator.server import GraphServer
from nvtopo.cluster.history import Entry, History
from nvtopo.cluster.inventory import Listed
from nvtopo.errors import ReadError, UsageError
from tests.aggregator.running import PATIENCE, Script, running
from tests.cli.test_bundle import members, nvtopo
from tests.cluster import machines

NODE = machines.name(1, 3)
OTHER = machines.name(1, 4)


def entry(after: str) -> Entry:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Entry(at=at, kind="changed", subject="host", path="driverVersion", after=f'"{after}"')


@pytest.fixture
def url() -> Iterator[str]:
    """Of an aggregator with one rack, of which two nodes have a history."""
    told = {NODE: History((entry("580.1"),)), OTHER: History((entry("590.2"),))}
    with ExitStack() as stack:
        aggregator = stack.enter_context(running(Script(Listed(machines.racks(1)))))
        assert aggregator.wait(0, PATIENCE) is not None
        aggregator.trail.remember(told)
        yield stack.enter_context(GraphServer(aggregator)).url


def packed(file: Path, *arguments: str) -> dict[str, Any]:
    result: Result = nvtopo("bundle", str(file), *arguments)
    assert result.exception is None, result.exception
    return {name: msgspec.json.decode(content) for name, content in members(file).items()}


def test_graph_and_history_of_all_nodes_and_no_name_of_one(url: str, tmp_path: Path) -> None:
    found = packed(tmp_path / "rack.tar.gz", "--server", url)
    assert found.keys() == {"MANIFEST.json", "versions.json", "graph.json", "history-0.json"}
    assert len(found["graph.json"]["nodes"]) == 18
    assert found["MANIFEST.json"]["problems"] == []
    text = b"".join(members(tmp_path / "rack.tar.gz").values())
    assert [name for name in machines.racks(1) if name.encode() in text] == []
    assert b"580.1" in text
    assert b"590.2" in text


def test_the_history_of_those_that_are_named_alone(url: str, tmp_path: Path) -> None:
    found = packed(tmp_path / "one.tar.gz", NODE, "--server", url, "--unscrubbed")
    assert [(one["node"], one["after"]) for one in found["history-0.json"]["entries"]] == [(NODE, "580.1")]


def test_a_name_that_is_none_and_a_server_that_does_not_answer(url: str, tmp_path: Path) -> None:
    file = tmp_path / "none.tar.gz"
    refused = nvtopo("bundle", str(file), "nobody", "--server", url).exception
    assert isinstance(refused, UsageError)
    assert not file.exists()
    unreached = nvtopo("bundle", str(file), "--server", "http://127.0.0.1:9").exception
    assert isinstance(unreached, ReadError)
    assert str(unreached).startswith("graph: http://127.0.0.1:9/")
    assert not file.exists()


def test_it_is_read_again(url: str, tmp_path: Path) -> None:
    file = tmp_path / "rack.tar.gz"
    packed(file, "--server", url)
    assert nvtopo("graph", "--from", str(file)).exit_code == 0
