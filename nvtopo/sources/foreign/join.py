"""Several outputs of one host in one text, as bug reports hold them: one node from all of them.

The matrix says how GPUs are joined, ``-q`` what they are, ``nvlink -s`` which of their links are up, ``lspci`` where
they hang, ``ibstat`` how NICs' ports are. What is said first counts; what comes later adds to it.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, TypeVar

from msgspec.structs import replace

from nvtopo.model.formats import cpulist
from nvtopo.model.records.node import Gpu, Nic, NodeTopology
from nvtopo.model.records.places import Unseen
from nvtopo.model.records.record import Problem, Record

_Record = TypeVar("_Record", bound=Record)
#: Subjects of what an output notes as not shown by itself.
_NVLINK = "NVLink"
_GPUS = "GPUs"
_SOURCE = "input"


def joined(nodes: Sequence[NodeTopology]) -> NodeTopology:
    """The node that outputs describe together, those first that say most of it."""
    return _with_ends_found(reduce(_join, nodes))


def _join(one: NodeTopology, other: NodeTopology) -> NodeTopology:
    gpus, apart = _gpus(one.gpus, other.gpus)
    hidden = one.nvlink_hidden and other.nvlink_hidden
    return replace(
        one,
        host=_filled(one.host, other.host),
        numa=_by(lambda numa: numa.index, one.numa, other.numa),
        pci=one.pci or other.pci,
        gpus=gpus,
        pairs=one.pairs or (() if apart else other.pairs),
        nvswitches=one.nvswitches or other.nvswitches,
        nics=_nics(one.nics, other.nics),
        nvmes=_by(lambda nvme: nvme.pci_address, one.nvmes, other.nvmes),
        stated=(*one.stated, *other.stated) if not one.stated else one.stated,
        nvlink_hidden=hidden,
        unseen=_unseen(one, other),
        problems=_problems(one, other, hidden=hidden, apart=apart),
    )


def _gpus(mine: tuple[Gpu, ...], theirs: tuple[Gpu, ...]) -> tuple[tuple[Gpu, ...], bool]:
    """The GPUs of both, and whether they are not the same ones: outputs number GPUs in one order.

    UUIDs that somebody blanked out are all one, and join nothing.
    """
    if not mine or not theirs:
        return mine or theirs, False
    for name in ("uuid", "pci_address", "index"):
        known = {getattr(gpu, name): gpu for gpu in theirs if getattr(gpu, name) not in (None, "")}
        asked = [getattr(gpu, name) for gpu in mine]
        one_each = len({*asked}) == len(asked) and all(key in known for key in asked)
        if one_each and (name != "index" or len(mine) == len(theirs)):
            return tuple(_filled(gpu, known[key]) for gpu, key in zip(mine, asked, strict=True)), False
    return mine, True


def _nics(mine: tuple[Nic, ...], theirs: tuple[Nic, ...]) -> tuple[Nic, ...]:
    """By name, or by address where the names are addresses; those of one output alone where nothing joins them."""
    if mine and theirs and not {nic.name for nic in mine} & {nic.name for nic in theirs}:
        places = {nic.pci_address: nic for nic in theirs if nic.pci_address}
        return tuple(_filled(nic, places[nic.pci_address]) if nic.pci_address in places else nic for nic in mine)
    return _by(lambda nic: nic.name, mine, theirs)


def _by(key: Callable[[_Record], Any], mine: tuple[_Record, ...], theirs: tuple[_Record, ...]) -> tuple[_Record, ...]:
    """The devices of both, each once; in the order of the first."""
    known = {key(record): record for record in theirs}
    both = tuple(_filled(record, known.pop(key(record))) if key(record) in known else record for record in mine)
    return (*both, *(record for record in theirs if key(record) in known))


def _filled(mine: _Record, theirs: Record) -> _Record:
    """A record with what the other says beyond it; ports are filled one by one."""
    said = {}
    for name in mine.__struct_fields__:
        value, more = getattr(mine, name), getattr(theirs, name)
        if name == "ports" and value and more:
            said[name] = _by(lambda port: port.number, value, more)
        elif _is_absent(value) or (name == "nvlinks" and not any(bundle.state for bundle in value)):
            said[name] = value if _is_absent(more) else more
    return replace(mine, **said)


def _is_absent(value: object) -> bool:
    """Whether a field says nothing; 0 is a number."""
    return value is None or value is False or value in ("", ())


def _unseen(one: NodeTopology, other: NodeTopology) -> tuple[Unseen, ...]:
    """What neither shows; paths that one shows in part are not shown by an output that has none."""
    mine, theirs = {*one.unseen}, {*other.unseen}
    for node, unseen in ((one, mine), (other, theirs)):
        if not node.gpus:
            unseen.add("gpus")
        if not node.nics:
            unseen.add("nics")
    return tuple(sorted(mine & theirs | (mine | theirs) & {"paths"}))


def _problems(one: NodeTopology, other: NodeTopology, *, hidden: bool, apart: bool) -> tuple[Problem, ...]:
    """All problems of both, less what one notes as not shown and the other shows."""
    kept = {
        problem
        for node, more in ((one, other), (other, one))
        for problem in node.problems
        if not (problem.subject == _NVLINK and (not hidden or (not node.gpus and more.gpus)))
        and not (problem.subject == _GPUS and not node.gpus and more.gpus)
    }
    if apart:
        reason = f"one output names {len(one.gpus)} GPUs, another one {len(other.gpus)}: the first was read"
        kept.add(Problem(source=_SOURCE, subject=_GPUS, reason=reason))
    return tuple(sorted(kept, key=lambda problem: (problem.source, problem.subject, problem.reason)))


def _with_ends_found(node: NodeTopology) -> NodeTopology:
    """Links whose other ends are all known are no longer hidden: ``nvlink -R`` beside what says the GPUs' addresses."""
    places = {gpu.pci_address for gpu in node.gpus}
    bundles = [bundle for gpu in node.gpus for bundle in gpu.nvlinks if bundle.usable]
    if "gpus" in node.unseen:
        return node
    if not node.nvlink_hidden or not bundles or any(sum(map(_count, b.peers.values())) < b.count for b in bundles):
        return node
    if not all(address in places for bundle in bundles for address in bundle.peers):
        return node
    kept = tuple(problem for problem in node.problems if problem.subject != _NVLINK)
    return replace(node, nvlink_hidden=False, problems=kept)


def _count(links: str) -> int:
    return cpulist.count(links)
