"""Beside ``nvidia-smi -q -x``: every fact of a GPU that it states, by the paths of the resource's fields."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from gputest.rows import Facts, Of, Row, flat
from nvtopo.model.records.node import Gpu, NodeTopology
from nvtopo.model.records.snapshot import Snapshot

TOOL: Final = "nvidia-smi -q -x"
_MEBIBYTE: Final = 1 << 20
#: Of NVML's health mask, what the tool shows in full: two bits each for bandwidth, recovery, route and timeout.
_SHOWN_IN_FULL: Final = 0xFF
_CONFIGURATION: Final = 0xF00
_SOUND: Final = 0x100
_ONCE_COMPLETED: Final = ("fabric.status", "fabric.clusterUUID", "fabric.cliqueID")
_IN_A_RACK: Final = ("platform.slot", "platform.tray")


def rows(snapshot: Snapshot, node: NodeTopology, theirs: NodeTopology) -> Iterator[Row]:
    """GPUs by UUID, else by address."""
    of = Of(TOOL, "node")
    yield of.row("driver version", node.host.driver_version, theirs.host.driver_version)
    yield of.row("CUDA version", node.host.cuda_version, theirs.host.cuda_version)
    lost = snapshot.nvml.lost if snapshot.nvml else 0
    if "gpus" not in theirs.unseen:
        yield of.row("GPUs", len(node.gpus) + lost, len(theirs.gpus))
    found: set[int] = set()
    for gpu in theirs.gpus:
        mine = _counterpart(node, gpu)
        if mine is not None:
            found.add(mine.index)
            yield from _gpu(mine, gpu, numbered=len(node.gpus) == len(theirs.gpus))
        else:
            name = gpu.pci_address or gpu.uuid or gpu.key
            yield Of(TOOL, name).row(
                "GPU", None, gpu.uuid or name, "it does not answer nvtopo, which says so" if lost else ""
            )
    for gpu in node.gpus:
        if gpu.index not in found:
            yield Of(TOOL, gpu.key).differ("GPU", gpu.uuid, None, "the tool describes no such GPU")
    for problem in theirs.problems:
        if problem.subject != "NVLink":
            yield Of(TOOL, problem.subject).not_compared("the text", problem.reason)


def _counterpart(node: NodeTopology, theirs: Gpu) -> Gpu | None:
    by_uuid = (gpu for gpu in node.gpus if theirs.uuid and gpu.uuid == theirs.uuid)
    by_address = (gpu for gpu in node.gpus if theirs.pci_address and gpu.pci_address == theirs.pci_address)
    return next((*by_uuid, *by_address).__iter__(), None)


def _gpu(mine: Gpu, theirs: Gpu, *, numbered: bool) -> Iterator[Row]:
    one, other = flat(mine), flat(theirs)
    of = Of(TOOL, mine.key)
    for path, said in other.items():
        if path == "index" and not numbered:
            continue
        yield of.row(path, one.get(path), said, _explained(path, one, other))


def _explained(path: str, one: Facts, other: Facts) -> str:
    mine, said = one.get(path), other[path]
    if path == "platform.module" and mine is None and said == one.get("moduleId"):
        return "the driver states no place; nvidia-smi repeats the module id"
    if path == "link.width" and one.get("link.maxWidth") == other.get("link.maxWidth"):
        return "a GPU may take lanes down while idle: both readings are right"
    if path in _ONCE_COMPLETED and one.get("fabric.state") not in (None, "completed"):
        return "nvtopo says it once the fabric's state is completed"
    if path in _IN_A_RACK and "platform.chassisSerial" not in one:
        return "without a chassis this is no place, and nvtopo leaves it out"
    rule = _RULES.get(path)
    return rule(mine, said) if rule and mine is not None else ""


def _rounded(mine: Any, said: Any) -> str:
    return "nvidia-smi counts in whole MiB" if abs(mine - said) < _MEBIBYTE else ""


def _failed(mine: Any, said: Any) -> str:
    return "nvidia-smi has words for the error, nvtopo has NVML's number" if mine and said else ""


def _mask(mine: Any, said: Any) -> str:
    """The tool shows fields of the mask, some of them without their number, and perhaps not all."""
    if (mine ^ said) & _SHOWN_IN_FULL & _told(said):
        return ""
    sound = [mask & _CONFIGURATION == _SOUND for mask in (mine, said)]
    if said & _CONFIGURATION and sound[0] != sound[1]:
        return ""
    return "nvidia-smi shows fields of the mask, in words"


def _told(mask: int) -> int:
    """The fields of the mask that the tool shows at all: those that are not zero."""
    return sum(3 << shift for shift in range(0, 8, 2) if mask >> shift & 3)


def _alike(mine: Any, said: Any) -> str:
    one, other = (str(text).lower().removeprefix("0x").replace("-", "") for text in (mine, said))
    return "the same number, written otherwise" if one == other else ""


_RULES: Final[dict[str, Callable[[Any, Any], str]]] = {
    "memoryBytes": _rounded,
    "fabric.status": _failed,
    "fabric.healthMask": _mask,
    "fabric.clusterUUID": _alike,
    "platform.fabricGuid": _alike,
    "platform.chassisSerial": _alike,
}
