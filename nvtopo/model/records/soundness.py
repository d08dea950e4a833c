"""What types can't say of a node: values that must differ, name each other, or not be too many together.

``check`` refuses it where a node is read; ``RULES`` say the same to the API server, in its Common Expression Language.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from nvtopo.model.formats import limits
from nvtopo.model.records.node import Gpu, NodeTopology

_ENDS: Final = (
    f"!has(self.nvlinks) || self.nvlinks.map(b, has(b.peers) ? size(b.peers) : 0).sum() <= {limits.MOST_LINKS}",
    f"at most {limits.MOST_LINKS} ends of NVLinks of one GPU",
)


def _once(field: str, key: str, *, where: str = "") -> tuple[str, str]:
    """Each once: then the first place of each is its own, and the places add up to 0 + 1 + … + (n - 1).

    The keys are copied to a list of their own, in which the API server compares them at once: to compare the devices
    themselves, each with each, took a real one more than 30 s for 256 NICs.
    """
    keys = f"self.{field}.map(one, {where}one.{key})"
    sum_of_places = "keys.map(key, keys.indexOf(key)).sum() * 2 == size(keys) * (size(keys) - 1)"
    return f"!has(self.{field}) || [{keys}].all(keys, {sum_of_places})", f"{field}: each {key} once"


#: Record → rules with their messages. 2016 pairs would cost too much even so: two of one are for ``check`` alone.
RULES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = MappingProxyType(
    {
        "Spec": (
            _once("numa", "index"),
            _once("gpus", "index"),
            _once("gpus", "uuid", where="one.uuid != '', "),
            _once("gpus", "pciBusID", where="has(one.pciBusID), "),
            _once("accelerators", "pciBusID"),
            _once("nics", "name"),
            _once("nvmes", "name"),
            _once("nvmes", "pciBusID"),
        ),
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
    for name, key, values in _keys(node):
        if (twice := _twice(values)) is not None:
            yield f"{name}: expected each {key} once, got {twice!r} twice"
    gpus = {gpu.index for gpu in node.gpus}
    for pair in node.pairs:
        if pair.a >= pair.b or not {pair.a, pair.b} <= gpus:
            yield f"pairs: expected two GPUs of this node, the lesser index first, got {pair.a} and {pair.b}"
    for gpu in node.gpus:
        yield from _link_faults(gpu)


def _keys(node: NodeTopology) -> Iterator[tuple[str, str, Iterable[Hashable]]]:
    """Field, what tells its items from one another, and that of each item.

    NICs may have one PCI address: an mlx5 sub-function's is that of the function below it. A port may hear two
    neighbours that say the same.
    """
    yield "numa", "index", (numa.index for numa in node.numa)
    yield "gpus", "index", (gpu.index for gpu in node.gpus)
    yield "gpus", "uuid", (gpu.uuid for gpu in node.gpus if gpu.uuid)
    yield "gpus", "pciBusID", (gpu.pci_address for gpu in node.gpus if gpu.pci_address is not None)
    yield "pairs", "pair", ((pair.a, pair.b) for pair in node.pairs)
    yield "accelerators", "pciBusID", (accelerator.pci_address for accelerator in node.accelerators)
    yield "nics", "name", (nic.name for nic in node.nics)
    yield "nvmes", "name", (nvme.name for nvme in node.nvmes)
    yield "nvmes", "pciBusID", (nvme.pci_address for nvme in node.nvmes)


def _link_faults(gpu: Gpu) -> Iterator[str]:
    """A link is in one bundle and ends in one place, so there are no more bundled links or ends than links."""
    links = sum([bundle.count for bundle in gpu.nvlinks])
    if links > limits.MOST_LINKS:
        yield f"gpus: expected at most {limits.MOST_LINKS} NVLinks of one GPU, got {links} of {gpu.key}"
    ends = sum([len(bundle.peers) for bundle in gpu.nvlinks])
    if ends > limits.MOST_LINKS:
        yield f"gpus: expected at most {limits.MOST_LINKS} ends of NVLinks of one GPU, got {ends} of {gpu.key}"


def _twice(values: Iterable[Hashable]) -> Hashable:
    """The first that is there a second time; None if none is."""
    found = list(values)
    if len(set(found)) == len(found):
        return None
    seen: set[Hashable] = set()
    for value in found:
        if value in seen:
            return value
        seen.add(value)
    return None
