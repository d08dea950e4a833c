"""Spans of a change, from the watch's event to a subscriber and a written status, at a small collector."""

import itertools
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.otlp import MOST_WAITING, OtlpSpans, address
from nvtopo.aggregator.server import GraphServer
from nvtopo.aggregator.spans import Spans, Timeline
from nvtopo.aggregator.status import StatusWriter
from nvtopo.cluster.events import Applied, Listed
from nvtopo.errors import ApiError, UsageError
from nvtopo.kube.applier import Applier
from nvtopo.kube.memory import MemoryStore
from nvtopo.kube.v1alpha1_status import Status
from tests.aggregator.otlp_receiver import receiving
from tests.aggregator.running import PATIENCE, Script, looping, next_message, watching
from tests.cluster import machines

pytestmark = pytest.mark.slow

NODES = machines.racks(1, trays=2)
NAME = machines.name(1, 1)
CHANGE = Applied(NAME, machines.changed(machines.tray(1, 1), 0, nvlinks=(machines.bundle(state="inactive"),)))
STAGES = ["wait", "fold", "build", "publish"]


@contextmanager
def running(spans: Spans, source: Script) -> Iterator[Aggregator]:
    aggregator = Aggregator(source, pause_seconds=0.0, spans=spans)
    applier: Applier[Status] = Applier("status", spans.writes(MemoryStore().set_status), lambda: 1)
    writer = StatusWriter(aggregator, applier, lambda: 1)
    with looping(aggregator.run, applier.run, writer.run):
        yield aggregator


def about(span: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def traces(spans: list[Any]) -> dict[bytes, list[Any]]:
    """Trace → its spans, in the order of their beginnings."""
    found: dict[bytes, list[Any]] = {}
    for span in sorted(spans, key=lambda one: one.start_time_unix_nano):
        found.setdefault(span.trace_id, []).append(span)
    return found


def written(spans: list[Any]) -> set[str]:
    return {about(one).get("k8s.node.name", "") for one in spans if one.name == "write status"}


def test_a_change_is_followed_to_its_subscriber_and_its_status() -> None:
    source = Script(Listed(NODES))
    with (
        receiving() as collector,
        closing(OtlpSpans(collector.url, "here-1", "lab")) as spans,
        running(spans, source) as aggregator,
    ):
        first = aggregator.wait(-1, PATIENCE)
        assert first is not None
        with GraphServer(aggregator) as server, watching(server) as stream:
            assert next_message(stream)[0] == "event: reset"
            source.say(CHANGE)
            assert aggregator.wait(first.generation, PATIENCE) is not None
            assert collector.wait(lambda found: any(one.name == "send to subscriber" for one in found))
            assert collector.wait(lambda found: written(found) >= {*NODES})
    assert collector.paths == {"/v1/traces"}
    assert collector.resource["service.name"] == "nvtopo-aggregator"
    assert collector.resource["service.instance.id"] == "here-1"
    assert collector.resource["k8s.cluster.name"] == "lab"
    found = traces(collector.spans)
    (followed,) = (several for several in found.values() if any(one.name == "send to subscriber" for one in several))
    (root,) = (one for one in followed if not one.parent_span_id)
    assert root.name == "change"
    assert about(root)["nvtopo.nodes"] == 1
    assert about(root)["nvtopo.events"] == 1
    rest = [one for one in followed if one is not root]
    assert {one.parent_span_id for one in rest} == {root.span_id}
    assert [one.name for one in rest if one.name in STAGES] == STAGES
    assert {"send to subscriber", "write status"} <= {one.name for one in rest}
    stages = [one for one in rest if one.name in STAGES]
    for one, following in itertools.pairwise(stages):
        assert one.end_time_unix_nano == following.start_time_unix_nano
    assert root.start_time_unix_nano == stages[0].start_time_unix_nano
    assert root.end_time_unix_nano == stages[-1].end_time_unix_nano


def test_a_thousand_subscribers_are_not_a_thousand_spans() -> None:
    with receiving() as collector, closing(OtlpSpans(collector.url)) as spans:
        spans.begin(7, 1.0)
        spans.published(7, Timeline(1.0, 1.1, 1.2, 1.3, 1.4), events=1, nodes=1)
        for _ in range(1000):
            spans.sent(7, 1.4, 1.5, 100)
        spans.sent(6, 1.4, 1.5, 100)
    assert sum(one.name == "send to subscriber" for one in collector.spans) == 16
    assert len(collector.spans) == 5 + 16


def test_a_status_that_can_not_be_written_is_an_error_and_stays_one() -> None:
    def refuse(_name: str, _status: int) -> None:
        raise ApiError("no")

    with receiving() as collector, closing(OtlpSpans(collector.url)) as spans:
        spans.begin(7, 1.0)
        spans.wanted(NAME, 7)
        with pytest.raises(ApiError):
            spans.writes(refuse)(NAME, 1)
        with pytest.raises(ApiError):  # tried again, and of no change any more
            spans.writes(refuse)(NAME, 1)
    (span,) = collector.spans
    assert (about(span)["error.type"], span.status.code) == ("ApiError", 2)


@contextmanager
def silent() -> Iterator[str]:
    """A collector that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def closed() -> str:
    """The address of nobody."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("dead", ["silent", "closed"])
def test_a_dead_collector_harms_nothing(dead: str) -> None:
    with silent() as hole:
        spans = OtlpSpans(hole if dead == "silent" else closed())
        source = Script(Listed(NODES))
        with running(spans, source) as aggregator:
            graph = aggregator.wait(-1, PATIENCE)
            assert graph is not None
            for _ in range(MOST_WAITING // len(STAGES)):
                source.say(CHANGE, Applied(NAME, NODES[NAME]))
            source.say(CHANGE)
            assert aggregator.wait(graph.generation, PATIENCE) is not None
        for generation in range(2 * MOST_WAITING):
            spans.begin(generation, 1.0)
            spans.published(generation, Timeline(1.0, 1.0, 1.0, 1.0, 1.0), events=1, nodes=1)
            spans.wanted(f"node-{generation}", generation)
        (processor,) = spans._provider._active_span_processor._span_processors
        assert len(processor._batch_processor._queue) <= MOST_WAITING  # type: ignore[attr-defined]
        assert len(spans._changes) <= 512
        closing_ = threading.Thread(target=spans.close)
        closing_.start()
        closing_.join(PATIENCE)
        assert not closing_.is_alive()


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("https://collector/", "https://collector/v1/traces"),
        ("http://[::1]:4318/own/path", "http://[::1]:4318/own/path"),
    ],
)
def test_the_collector_s_address(given: str, found: str) -> None:
    assert address(given) == found


@pytest.mark.parametrize("given", ["collector:4318", "grpc://collector", "http://", "http://a:99999", "", "http://a:0"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="expected an address such as http://collector:4318, got"):
        address(given)


def test_nothing_is_imported_that_nobody_asked_for() -> None:
    program = (
        "import sys\n"
        "from nvtopo.cli.aggregator import _spans\n"
        "from nvtopo.aggregator import loop, server, status, watch\n"
        "_spans(None, None).close()\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from nvtopo.cli import aggregator

    monkeypatch.setitem(sys.modules, "nvtopo.aggregator.otlp", None)
    with pytest.raises(UsageError, match=r"--traces needs OpenTelemetry: .* -m pip install "):
        aggregator._spans("http://collector:4318", None)
