"""Following an aggregator: over lost connections, from where it was, and never with a change missing."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nvtopo.aggregator.server import GraphServer
from nvtopo.cli.following import graphs
from nvtopo.cluster.events import Applied, Deleted, Listed
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Inventory, fold_all
from nvtopo.errors import ReadError
from nvtopo.exporters import change_records, document
from tests.aggregator.running import PATIENCE, Script, running
from tests.cluster import machines

pytestmark = pytest.mark.slow


class Answer(NamedTuple):
    status: int = 200
    body: bytes = b""
    type: str = "text/event-stream"


class Scripted:
    """A server that gives each request the next of its answers; what Last-Event-ID each had, and each token."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str | None, str | None]] = []

    @contextmanager
    def serving(self) -> Iterator[str]:
        script = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                script.asked.append((self.headers["Last-Event-ID"], self.headers["Authorization"]))
                answer = script.answers.pop(0) if script.answers else Answer(403, b'{"error":"the script has ended"}')
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.type)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: Any) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}/v1/graph/watch"
            finally:
                server.shutdown()
                thread.join()


def _history() -> list[ClusterGraph]:
    inventory = fold_all(Inventory(), [Listed(machines.racks(1, trays=3))])
    found = [build(inventory)]
    for event in (Deleted(machines.name(1, 2)), Applied("new", machines.tray(2)), Deleted("new")):
        inventory = fold_all(inventory, [event])
        found.append(build(inventory, found[-1]))
    return found


HISTORY = _history()


def reset(number: int) -> bytes:
    text = document.encode(document.of(HISTORY[number]))
    return b"event: reset\nid: a.%d\ndata: %s\n\nevent: generation\ndata: {}\n\n" % (number, text)


def change(number: int) -> bytes:
    text = change_records.encode(change_records.step(HISTORY[number - 1], HISTORY[number]))
    return b"event: change\nid: a.%d\ndata: %s\n\n" % (number, text)


def follow(script: Scripted, count: int, lost: Callable[[str], None] = lambda _: None) -> list[document.GraphDocument]:
    with script.serving() as url:
        return list(islice(graphs(url, lambda: "secret", lost, lambda _: None), count))


def are(found: list[document.GraphDocument], *numbers: int) -> bool:
    return [document.encode(one) for one in found] == [
        document.encode(document.of(HISTORY[number])) for number in numbers
    ]


def test_it_goes_on_after_the_last_event_that_it_had() -> None:
    lost: list[str] = []
    script = Scripted(Answer(body=reset(0) + change(1)), Answer(503, b"{}"), Answer(body=change(2) + change(3)))
    assert are(follow(script, 4, lost.append), 0, 1, 2, 3)
    assert [last for last, _ in script.asked] == [None, "a.1", "a.1"]
    assert {token for _, token in script.asked} == {"Bearer secret"}
    assert "connection ended" in lost[0]
    assert "503" in lost[1]


def test_a_change_that_does_not_follow_asks_for_the_whole() -> None:
    script = Scripted(Answer(body=reset(0) + change(2)), Answer(body=reset(2) + change(2) + change(3)))
    assert are(follow(script, 3), 0, 2, 3), "a change that is known already is no news"
    assert [last for last, _ in script.asked] == [None, None]


def test_who_is_dropped_comes_again() -> None:
    dropped = b'event: dropped\ndata: {"error":"x"}\n\n'
    lost: list[str] = []
    assert are(follow(Scripted(Answer(body=reset(0) + dropped), Answer(body=reset(1))), 2, lost.append), 0, 1)
    assert "read too slowly" in lost[0]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([Answer(503, b'{"error":"not listed"}')], "answered 503 not listed"),
        ([Answer(body=b'event: generation\nid: 1\ndata: {"generation":1}\n\n')], "of an earlier release"),
        ([Answer(body=b"event: reset\ndata: [\n\n")], "expected an nvtopo graph"),
        ([Answer(body=reset(0)), Answer(401, b'{"error":"who?"}')], "answered 401 who[?]"),
    ],
    ids=["not-ready", "old", "torn", "refused"],
)
def test_what_waiting_does_not_mend_is_an_error(answers: list[Answer], reason: str) -> None:
    with pytest.raises(ReadError, match=reason):
        follow(Scripted(*answers), 5)


def test_an_aggregator_that_is_replaced_on_its_address_is_followed_on() -> None:
    lost = threading.Event()
    with running(Script(Listed(machines.racks(1)))) as first, running(Script(Listed(machines.racks(2)))) as second:
        assert first.wait(0, PATIENCE) is not None
        assert second.wait(0, PATIENCE) is not None
        with GraphServer(first) as server:
            port = server.port
            found = graphs(f"{server.url}/v1/graph/watch", str, lambda _: lost.set(), lambda _: None)
            assert len(next(found).nodes) == 18
        with GraphServer(second, port=port):
            assert len(next(found).nodes) == 36
    assert lost.is_set()


@pytest.mark.parametrize("form", ["json", "table"])
def test_the_command_follows_until_it_is_interrupted(form: str, tmp_path: Path) -> None:
    script = Script(Listed(machines.racks(1)))
    with running(script) as aggregator:
        assert aggregator.wait(0, PATIENCE) is not None
        with GraphServer(aggregator) as server, (tmp_path / "errors").open("wb") as errors:
            arguments = ("--server", server.url, "--watch", "--format", form, "--node", machines.name(1, 3))
            with subprocess.Popen(
                [sys.executable, "-m", "nvtopo", "graph", *arguments], stdout=subprocess.PIPE, stderr=errors
            ) as process:
                assert process.stdout is not None
                first = process.stdout.readline()
                if form == "table":
                    assert b"NODE" in first
                    assert machines.name(1, 3).encode() in process.stdout.readline()
                script.say(Applied("elsewhere", machines.tray(2)))
                ill = machines.changed(machines.tray(1, 3), 2, nvlinks=(machines.bundle(state="inactive"),))
                script.say(Applied(machines.name(1, 3), ill))
                second = process.stdout.readline()
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=PATIENCE)
            assert process.returncode == 0
    assert not (tmp_path / "errors").read_bytes()
    if form == "json":
        known = change_records.applied(document.decode(first), change_records.decode(second))
        assert list(json.loads(second)["nodes"]) == list(known.nodes) == [machines.name(1, 3)]
        assert known.nodes[machines.name(1, 3)].problems
    else:
        assert second.startswith(b"generation ")
