"""``Expectation``: what machines of one hardware shape should have, as an operator writes it.

YAML or JSON, one entry for each shape::

    shapes:
      hgx-h100:
        match: {gpu: NVIDIA H100 80GB HBM3}
        expect:
          gpus: 8
          rails: 8
          nvlinksPerGpu: 18
          mtuBytes: 9000
          gidIndex: 3
          pcie: {width: 16, generation: 5}
          versions: {driver: 580.105.08}

A shape may say what its machines are for, ``workload: real-time``, beside ``match`` and ``expect``.

What is not written is not expected. A key that is not known is refused, since a misspelt one would never be missed.
"""

from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta

from nvtopo.model.records.expected import Expectation, PcieExpectation, VersionExpectation
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.record import Name, Record
from nvtopo.wire import yaml
from nvtopo.wire.documents import Json

#: More shapes than any cluster has machines to tell apart.
_MOST_SHAPES = 256
_EXPECTED = "`shapes: NAME: match: …, expect: …`"


Workload = Literal["batch", "real-time", "streaming"]
WORKLOADS: Final[tuple[Workload, ...]] = get_args(Workload)


class _Pcie(PcieExpectation, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As written in a file."""


class _Versions(VersionExpectation, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As written in a file."""


class _Written(Expectation, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As written in a file."""

    pcie: _Pcie | None = None
    versions: _Versions | None = None


class Shape(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By what the machines of a shape are known; all that is written must be so."""

    gpu: Name | None = None
    """Product name of every GPU, as NVML says it."""
    product: Name | None = None
    """The system's product name, as its firmware says it."""

    def is_of(self, node: NodeTopology) -> bool:
        """Whether a node is of this shape. One whose GPUs do not answer is of none that names a GPU."""
        names = {gpu.name for gpu in node.gpus}
        return (self.gpu is None or names == {self.gpu}) and self.product in (None, node.host.product)


class ShapeExpectation(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A shape, and what its machines should have."""

    match: Shape
    expect: Expectation
    workload: Workload | None = None
    """What its machines are for: which findings of ``doctor`` matter more there."""


class _WrittenShape(ShapeExpectation, frozen=True, kw_only=True, forbid_unknown_fields=True):
    expect: _Written


class Expectations(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator's file holds."""

    shapes: Annotated[dict[Name, ShapeExpectation], Meta(max_length=_MOST_SHAPES)]
    """Name → shape; the first that a node is of counts."""

    def of(self, node: NodeTopology) -> Expectation | None:
        """What this node should have; None if no shape is its own."""
        entry = self._of(node)
        return None if entry is None else entry.expect

    def workload_of(self, node: NodeTopology) -> Workload | None:
        """What this node is for; None if that is not said."""
        entry = self._of(node)
        return None if entry is None else entry.workload

    def _of(self, node: NodeTopology) -> ShapeExpectation | None:
        return next((entry for entry in self.shapes.values() if entry.match.is_of(node)), None)


class _WrittenFile(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    shapes: Annotated[dict[Name, _WrittenShape], Meta(max_length=_MOST_SHAPES)]


def expectations_in(content: bytes, source: str) -> Expectations:
    """The expectations in a file, YAML or JSON; ``source`` is what messages call it.

    Raises:
        ParseError: it is neither, has a key that is not known, or a value that is none; one line says which and where.
    """
    if content.lstrip()[:1] == b"{":
        written = Json(_WrittenFile, _EXPECTED, most_bytes=yaml.MOST_BYTES).read(content, source)
    else:
        written = yaml.read(content, _WrittenFile, _EXPECTED, source)
    return msgspec.convert(msgspec.to_builtins(written), Expectations)
