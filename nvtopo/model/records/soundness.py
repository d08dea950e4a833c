"""What types can't say of a node: values that must differ, name each other, or not be too many together.

``check`` refuses it where a node is read; ``RULES`` say the same to the API server, in its Common Expression Language.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from nvtopo.model.formats import limits
from nvtopo.model.records.node import Gpu, NodeTopology

_ENDS: Final = (
    f"!has(self.nvlinks) || self.nvlinks.map(b, has(b.peers) ? size(b.peers) : 0).sum() <= {limits.MOST_LINKS}",
    f"at most {limits.MOST_LINKS} ends of NVLinks of one GPU",
)


def _once(field: str, key: str) -> tuple[str, str]:
    each = f"self.{field}.all(a, self.{field}.exists_one(b, b.{key} == a.{key}))"
    return f"!has(self.{field}) || {each}", f"{field}: each {key} once"


#: Record → rules with their messages. None is quadratic in a long list: names of 256 NICs compared with each other cost
#: a real API server more than 30 s. Two of one name are for ``check`` alone.
RULES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = MappingProxyType(
    {
        "Spec": (_once("gpus", "index"),),
        "GpuPair": (("self.a < self.b", "the lesser index first"),),
        "Gpu": (_ENDS,),
        "GpuCommon": (_ENDS,),
    }
)


def check(node: NodeTopology) -> NodeTopology:
    """The node itself.

    Raises:
        ValueError: it contradicts itself; one line that says where.
    """
    for reason in _faults(node):
        raise ValueError(reason)
    return node


def _faults(node: NodeTopology) -> Iterator[str]:
    gpus = {gpu.index for gpu in node.gpus}
    if len(gpus) < len(node.gpus):
        yield f"gpus: expected each index once, got {_twice(gpu.index for gpu in node.gpus)} twice"
    for name, devices in (("nics", node.nics), ("nvmes", node.nvmes)):
        if len({device.name for device in devices}) < len(devices):
            yield f"{name}: expected each name once, got {_twice(device.name for device in devices)!r} twice"
    if len({numa.index for numa in node.numa}) < len(node.numa):
        yield f"numa: expected each index once, got {_twice(numa.index for numa in node.numa)} twice"
    for pair in node.pairs:
        if pair.a >= pair.b or not {pair.a, pair.b} <= gpus:
            yield f"pairs: expected two GPUs of this node, the lesser index first, got {pair.a} and {pair.b}"
    for gpu in node.gpus:
        yield from _link_faults(gpu)


def _link_faults(gpu: Gpu) -> Iterator[str]:
    """A link is in one bundle and ends in one place, so there are no more bundled links or ends than links."""
    links = sum(bundle.count for bundle in gpu.nvlinks)
    if links > limits.MOST_LINKS:
        yield f"gpus: expected at most {limits.MOST_LINKS} NVLinks of one GPU, got {links} of {gpu.key}"
    ends = sum(len(bundle.peers) for bundle in gpu.nvlinks)
    if ends > limits.MOST_LINKS:
        yield f"gpus: expected at most {limits.MOST_LINKS} ends of NVLinks of one GPU, got {ends} of {gpu.key}"


def _twice(values: Iterable[int | str]) -> int | str | None:
    seen: set[int | str] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None
