"""The stream of changes: what a client makes of it is the graph, whenever it came, left, or came again."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPResponse
from typing import NamedTuple

import pytest

from nvtopo.aggregator.documents import Document, made
from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.ring import Limits
from nvtopo.aggregator.server import GraphServer
from nvtopo.aggregator.watch import Subscribers
from nvtopo.cluster.events import Applied, Deleted, Event, Listed
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Inventory, fold_all
from nvtopo.exporters import change_records, document
from nvtopo.exporters.document import GraphDocument
from tests.aggregator.running import PATIENCE, Script, get, next_message, running, watching
from tests.cluster import machines

pytestmark = pytest.mark.slow


class Message(NamedTuple):
    event: str
    id: str
    data: bytes


def parsed(lines: list[str]) -> Message:
    fields = dict(line.split(": ", 1) for line in lines)
    return Message(fields.get("event", ""), fields.get("id", ""), fields.get("data", "").encode())


class Live(NamedTuple):
    script: Script
    aggregator: Aggregator
    server: GraphServer

    def after(self, *events: Event) -> ClusterGraph:
        """The graph that has them."""
        assert self.aggregator.graph is not None
        generation = self.aggregator.graph.generation
        self.script.say(*events)
        graph = self.aggregator.wait(generation, PATIENCE)
        assert graph is not None
        return graph


@pytest.fixture(name="live")
def _live() -> Iterator[Live]:
    script = Script(Listed(machines.racks(1)))
    with running(script) as aggregator:
        assert aggregator.wait(0, PATIENCE) is not None
        with GraphServer(aggregator, heartbeat_seconds=0.05) as server:
            yield Live(script, aggregator, server)


def next_of(stream: HTTPResponse, *events: str) -> Message:
    """The next message that is one of these."""
    while lines := next_message(stream):
        if lines[0].removeprefix("event: ") in events:
            return parsed(lines)
    raise AssertionError("the stream has ended")


def followed(known: GraphDocument | None, message: Message) -> GraphDocument:
    """What a client knows after a message."""
    if message.event == "reset":
        return document.decode(message.data)
    assert known is not None
    return change_records.applied(known, change_records.decode(message.data))


def test_a_new_client_gets_the_whole_and_then_what_changed(live: Live) -> None:
    with watching(live.server) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        reset = parsed(next_message(stream))
        assert (reset.event, reset.data) == ("reset", get(live.server, "/v1/graph").body)
        assert parsed(next_message(stream)) == Message("generation", "", b'{"generation":1}')
        assert next_message(stream) == [": heartbeat"]
        known = followed(None, reset)
        for event in (Applied("new", machines.tray(2)), Deleted(machines.name(1, 3))):
            graph = live.after(event)
            change = next_of(stream, "change")
            assert len(change.data) < len(reset.data)
            known = followed(known, change)
            assert document.encode(known) == document.encode(document.of(graph))
            assert change.id.endswith(f".{graph.generation}")
        assert next_of(stream, "generation").data == b'{"generation":%d}' % known.generation


def test_who_comes_again_goes_on_where_it_was(live: Live) -> None:
    with watching(live.server) as stream:
        reset = next_of(stream, "reset")
    graph = [live.after(Applied(f"new-{number}", machines.tray(2, number))) for number in range(3)][-1]
    known = followed(None, reset)
    with watching(live.server, reset.id) as stream:
        while known.generation < graph.generation:
            known = followed(known, next_of(stream, "change"))
    assert document.encode(known) == document.encode(document.of(graph))


@pytest.mark.parametrize("last_id", ["0", "1", "00000000.1", "x", "." * 300, "{life}.99999999", "{life}.0"])
def test_who_was_with_another_or_too_long_ago_gets_the_whole(live: Live, last_id: str) -> None:
    with watching(live.server) as stream:
        life = next_of(stream, "reset").id.partition(".")[0]
    with watching(live.server, last_id.format(life=life)) as stream:
        assert parsed(next_message(stream)).event == "reset"


def test_a_list_of_other_nodes_is_told_to_who_follows(live: Live) -> None:
    with watching(live.server) as stream:
        known = followed(None, next_of(stream, "reset"))
        graph = live.after(Listed(machines.racks(3)))
        while known.generation < graph.generation:
            known = followed(known, next_of(stream, "change", "reset"))
        assert document.encode(known) == document.encode(document.of(graph))


def test_no_reader_goes_back_a_generation(live: Live) -> None:
    """On any path, and from what the stream has said to what is asked then."""
    seen = [0]
    paths = itertools.cycle(("/v1/graph", "/v1/nodes", "/v1/domains", f"/v1/nodes/{machines.name(1, 3)}", "/v1/drift"))

    def change() -> None:
        for number in range(60):
            live.after(Applied(f"new-{number}", machines.tray(2 + number // 18, number % 18)))

    with watching(live.server) as stream, ThreadPoolExecutor(1) as threads:
        changing = threads.submit(change)
        while seen[-1] < 61:
            seen.append(get(live.server, next(paths)).json["generation"])
            seen.append(
                int(next_of(stream, "reset", "change", "generation").data.split(b":")[1].split(b",")[0].strip(b"}"))
            )
        changing.result()
    told, asked = seen[2::2], seen[1::2]
    assert asked == sorted(asked)
    assert told == sorted(told)
    assert len({*asked}) > 1
    assert all(one >= other for one, other in zip(asked[1:], told, strict=False)), (
        "what is asked is as new as what was told"
    )


class Changing:
    """A graph that changes when it is told to, and those who follow it, in this thread."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.inventory = fold_all(Inventory(), [Listed(machines.racks(1))])
        self.graph = build(self.inventory)
        self.subscribers = Subscribers(lambda: self.graph, heartbeat_seconds=30, limits=limits)
        self.subscribers.wake()

    def change(self, number: int) -> None:
        self.inventory = fold_all(
            self.inventory, [Applied(f"new-{number}", machines.tray(2 + number // 18, number % 18))]
        )
        self.graph = build(self.inventory, self.graph)
        self.subscribers.wake()

    def stream(self, last_id: str = "") -> AsyncIterator[bytes]:
        bell = self.subscribers.join()
        assert bell is not None
        return self.subscribers.events(bell, self._whole, last_id)

    async def _whole(self, graph: ClusterGraph) -> Document:
        return made("graph", graph.generation, document.encode(document.of(graph)))


async def _until(stream: AsyncIterator[bytes], ending: bytes) -> bytes:
    """The stream, up to a piece that ends so."""
    text = b""
    async with asyncio.timeout(PATIENCE):
        async for piece in stream:
            text += piece
            if text.endswith(ending):
                return text
    return text


def test_who_reads_too_slowly_is_told_so_and_dropped() -> None:
    async def follow() -> None:
        changing = Changing(Limits(changes=2))
        stream = changing.stream()
        assert (await _until(stream, b'{"generation":1}\n\n')).startswith(b"event: reset\n")
        for number in range(4):
            changing.change(number)
        end = await _until(stream, b"never")
        assert end.startswith(b"event: dropped\ndata: {")
        assert changing.subscribers.dropped == 1
        again = await _until(changing.stream(), b'{"generation":5}\n\n')
        assert again.startswith(b"event: reset\n")

    asyncio.run(follow())


def test_a_graph_that_does_not_follow_the_one_before_is_sent_whole() -> None:
    async def follow() -> None:
        changing = Changing()
        stream = changing.stream()
        await _until(stream, b'{"generation":1}\n\n')
        changing.graph = replace(build(changing.inventory), generation=7)
        changing.subscribers.wake()
        assert (await _until(stream, b'{"generation":7}\n\n')).startswith(b"event: reset\n")

    asyncio.run(follow())


def test_a_hundred_changes_are_heard_in_order_by_each() -> None:
    async def hear(stream: AsyncIterator[bytes]) -> GraphDocument:
        known, rest = None, b""
        async with asyncio.timeout(PATIENCE):
            async for piece in stream:
                *whole, rest = (rest + piece).split(b"\n\n")
                for text in whole:
                    message = parsed(text.decode().split("\n"))
                    if message.event in {"reset", "change"}:
                        known = followed(known, message)
                if known is not None and known.generation == 101:
                    return known
        raise AssertionError("the stream has ended")

    async def follow() -> None:
        changing = Changing()
        hearers = [asyncio.create_task(hear(changing.stream())) for _ in range(5)]
        for number in range(100):
            changing.change(number)
            await asyncio.sleep(0)
        for known in await asyncio.gather(*hearers):
            assert document.encode(known) == document.encode(document.of(changing.graph))

    asyncio.run(follow())
