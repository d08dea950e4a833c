"""The graph's documents as bytes: each built at most once for a generation, in a thread, plain and as gzip.

A document has everything that an answer needs: its name, ETag, bytes, and the same bytes as gzip. Whoever asks gets one
that is at least as new as the graph was when they asked, so a reader never goes back.
"""

import asyncio
import zlib
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from nvtopo.cluster.graph import ClusterGraph

Make = Callable[[ClusterGraph], bytes]

#: Level 9 takes twenty times as long as level 1 for text two thirds of the size.
_GZIP_LEVEL: Final = 1
_RAW_DEFLATE: Final = -zlib.MAX_WBITS
#: RFC 1952: no name, no time, of a Unix.
_GZIP_HEAD: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"


class Compressed(NamedTuple):
    """Text compressed so that more can follow it: gzip without its end."""

    blocks: bytes
    crc: int
    size: int

    @classmethod
    def of(cls, text: bytes) -> "Compressed":
        """Compress a text once, for every client that takes gzip."""
        compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _RAW_DEFLATE)
        return cls(compressor.compress(text) + compressor.flush(zlib.Z_FULL_FLUSH), zlib.crc32(text), len(text))

    def end(self, text: bytes = b"") -> bytes:
        """What follows the blocks, with more text in it, so that together they are one gzip member."""
        compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _RAW_DEFLATE)
        crc, size = zlib.crc32(text, self.crc), (self.size + len(text)) & 0xFFFFFFFF
        return compressor.compress(text) + compressor.flush() + crc.to_bytes(4, "little") + size.to_bytes(4, "little")


class Document(NamedTuple):
    """One document of one generation."""

    name: str
    generation: int
    body: bytes
    compressed: Compressed

    @property
    def etag(self) -> str:
        """Of the bytes as they are; as gzip it is a weak one."""
        return etag(self.generation)

    def pieces(self, more: bytes = b"") -> tuple[bytes, ...]:
        """The bytes, and more text after them."""
        return (self.body, more)

    def gzip_pieces(self, more: bytes = b"") -> tuple[bytes, ...]:
        """The same text, compressed with gzip."""
        return (_GZIP_HEAD, self.compressed.blocks, self.compressed.end(more))


def made(name: str, generation: int, body: bytes) -> Document:
    """The document of these bytes."""
    return Document(name, generation, body, Compressed.of(body))


def etag(generation: int) -> str:
    """The ETag of what follows from one graph."""
    return f'"{generation}"'


class Documents:
    """It lives in the server's event loop, whose default executor builds."""

    def __init__(self, graph: Callable[[], ClusterGraph | None], makers: Mapping[str, Make]) -> None:
        """``makers`` encode each document, by its name."""
        self._graph = graph
        self._makers = makers
        self._latest: dict[str, Document] = {}
        self._building: dict[str, asyncio.Task[None]] = {}

    async def get(self, name: str, graph: ClusterGraph) -> Document:
        """The document of this graph, or of a later one."""
        while True:
            latest = self._latest.get(name)
            if latest is not None and latest.generation >= graph.generation:
                return latest
            building = self._building.get(name)
            if building is None:
                building = self._building[name] = asyncio.create_task(self._build(name))
            await asyncio.shield(building)  # goes on for the others if this reader leaves

    async def _build(self, name: str) -> None:
        graph = self._graph()
        assert graph is not None, "who asks has one"
        make = self._makers[name]
        try:
            self._latest[name] = await asyncio.to_thread(lambda: made(name, graph.generation, make(graph)))
        finally:
            del self._building[name]
