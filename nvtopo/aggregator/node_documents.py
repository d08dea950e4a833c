"""``/v1/nodes/NAME`` and its pairs: what is long to compute of a node is kept until its facts change."""

import asyncio
from typing import Any, Final, NamedTuple

import msgspec

from nvtopo.aggregator.node_guard import NodeGuard
from nvtopo.aggregator.served import NodeDocument, PairEntry, PairsDocument
from nvtopo.auth.lru import Lru
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.cluster.nodes import GraphNode
from nvtopo.exporters import document
from nvtopo.model.conclusions import names
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.paths import PairPath
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.record import Record
from nvtopo.model.records.spec import compact
from nvtopo.runtime.guard import Failed
from nvtopo.sinks.document import derived as derived_document

_MOST_NODES: Final = 1024
_NULL: Final = msgspec.Raw(b"null")


class _Facts(NamedTuple):
    """The JSON of what follows from a node's facts alone."""

    topology: NodeTopology | None
    spec: msgspec.Raw
    derived: msgspec.Raw
    pairs: msgspec.Raw


class _Spliced(Record, frozen=True, kw_only=True, omit_defaults=False):
    """``NodeDocument``, of which two values are JSON already."""

    generation: int
    name: str
    spec: msgspec.Raw
    derived: msgspec.Raw
    entry: document.NodeEntry


class _SplicedPairs(Record, frozen=True, kw_only=True, omit_defaults=False):
    """``PairsDocument``, of which one value is JSON already."""

    generation: int
    name: str
    pairs: msgspec.Raw


assert _SplicedPairs.__struct_fields__ == PairsDocument.__struct_fields__
assert _Spliced.__struct_fields__ == NodeDocument.__struct_fields__


class NodeDocuments:
    """It lives in the server's event loop, whose default executor computes."""

    def __init__(self, guard: NodeGuard) -> None:
        self._guard = guard
        self._facts: Lru[str, _Facts] = Lru(_MOST_NODES)

    async def get(self, name: str, graph: ClusterGraph) -> bytes:
        """The JSON of a node that the graph has."""
        node = graph.nodes[name]
        facts, entry = await self._of(node), document.entry(node)
        found = _Spliced(generation=graph.generation, name=name, spec=facts.spec, derived=facts.derived, entry=entry)
        return msgspec.json.encode(found)

    async def pairs(self, name: str, graph: ClusterGraph) -> bytes:
        """The JSON of the GPU pairs of a node that the graph has."""
        facts = await self._of(graph.nodes[name])
        return msgspec.json.encode(_SplicedPairs(generation=graph.generation, name=name, pairs=facts.pairs))

    async def _of(self, node: GraphNode) -> _Facts:
        facts = self._facts.get(node.name)
        if facts is None or facts.topology is not node.topology:
            facts = await asyncio.to_thread(self._made, node)
            self._facts.put(node.name, facts)
        return facts

    def _made(self, node: GraphNode) -> _Facts:
        """Its facts; none if they can't be rendered, which makes the node unreadable with the next graph."""
        found = self._guard.call(node, "document", lambda: _facts(node.topology))
        return _facts(None)._replace(topology=node.topology) if isinstance(found, Failed) else found


def _facts(topology: NodeTopology | None) -> _Facts:
    if topology is None:
        return _Facts(None, _NULL, _NULL, _NULL)
    derived = derive(topology)
    pairs = tuple(map(_pair, derived.gpu_pairs))
    return _Facts(topology, _raw(compact(topology)), _raw(derived_document.of(derived)), _raw(pairs))


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _pair(pair: PairPath) -> PairEntry:
    return PairEntry(
        a=names.gpu(pair.a),
        b=names.gpu(pair.b),
        link=names.link(pair),
        level=None if pair.level is None else pair.level.name,
        nvlinks=pair.nvlinks,
        bytes_per_second=pair.bytes_per_second,
        source=pair.source,
    )
