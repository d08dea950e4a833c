"""Documents of the graph: built once for a generation, whoever asks and leaves; their gzip is what gzip reads."""

import asyncio
import gzip
import threading
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from nvtopo.aggregator.documents import Documents, made
from nvtopo.cluster.graph import ClusterGraph
from tests.cluster import machines


class Builds:
    """A graph that changes, and the builds of its document, each of which waits until it may end."""

    def __init__(self) -> None:
        self.graph = replace(machines.graph({}), generation=1)
        self.built: list[int] = []
        self.began = threading.Semaphore(0)
        self.may_end = threading.Event()
        self.documents = Documents(lambda: self.graph, {"it": self._make})

    def change(self) -> None:
        self.graph = replace(self.graph, generation=self.graph.generation + 1)

    def _make(self, graph: ClusterGraph) -> bytes:
        self.built.append(graph.generation)
        self.began.release()
        assert self.may_end.wait(10)
        return str(graph.generation).encode()

    async def started(self) -> None:
        """One build more has begun."""
        await asyncio.to_thread(self.began.acquire)


def test_a_hundred_readers_are_one_build() -> None:
    async def ask() -> set[bytes]:
        builds = Builds()
        asked = [asyncio.create_task(builds.documents.get("it", builds.graph)) for _ in range(100)]
        await builds.started()
        builds.may_end.set()
        found = {document.body for document in await asyncio.gather(*asked)}
        found.add((await builds.documents.get("it", builds.graph)).body)
        assert len(builds.built) == 1
        return found

    assert asyncio.run(ask()) == {b"1"}


def test_who_asks_after_a_change_never_gets_the_one_before() -> None:
    async def ask() -> None:
        builds = Builds()
        early = asyncio.create_task(builds.documents.get("it", builds.graph))
        await builds.started()
        builds.change()
        builds.change()
        late = asyncio.create_task(builds.documents.get("it", builds.graph))
        builds.may_end.set()
        assert ((await early).etag, (await late).etag) == ('"1"', '"3"')
        assert builds.built == [1, 3], "generation 2 was asked for by nobody"

    asyncio.run(ask())


def test_a_reader_that_leaves_ends_no_build() -> None:
    async def ask() -> None:
        builds = Builds()
        leaver = asyncio.create_task(builds.documents.get("it", builds.graph))
        await builds.started()
        leaver.cancel()
        stays = asyncio.create_task(builds.documents.get("it", builds.graph))
        builds.may_end.set()
        assert (await stays).body == b"1"
        assert builds.built == [1]

    asyncio.run(ask())


@given(st.binary(), st.binary())
def test_gzip_is_the_same_bytes(body: bytes, more: bytes) -> None:
    document = made("it", 1, body)
    assert b"".join(document.pieces(more)) == body + more
    assert gzip.decompress(b"".join(document.gzip_pieces(more))) == body + more
