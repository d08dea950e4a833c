"""Which tool wrote a file, told by its content and never by its name; and the node that it describes."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, get_args

from msgspec.structs import replace

from nvtopo.errors import ParseError
from nvtopo.model.records.node import NodeTopology, encode
from nvtopo.model.records.places import Unseen
from nvtopo.sources.foreign import (
    hwloc_xml,
    ibdev2netdev,
    ibstat,
    ibv_devinfo,
    lspci,
    lspci_tree,
    lstopo,
    nccl_log,
    nccl_xml,
    numactl,
    rdma_link,
    show_gids,
    siblings,
    smi_errors,
    smi_fabric,
    smi_nvlink,
    smi_query,
    smi_query_xml,
    smi_table,
    smi_topo,
    smi_topo_path,
    sysfs_archive,
)
from nvtopo.sources.foreign.given import Given
from nvtopo.sources.foreign.join import joined
from nvtopo.sources.foreign.refusal import refusal
from nvtopo.wire.documents import Json

#: `lspci -vvv` of a large server has 1 MiB.
_LARGEST_TEXT: Final = 8 << 20
_NODE: Final = Json(NodeTopology, "a node")


class Format(NamedTuple):
    """One kind of file."""

    name: str
    looks_like: Callable[[Given], bool]
    read: Callable[[Given], NodeTopology]


#: All that look like it are read. Those come first that know most of what they say.
FORMATS: Final = (
    Format("nvidia-smi topo -m", smi_topo.looks_like, smi_topo.read),
    Format("nvidia-smi -q -x", smi_query_xml.looks_like, smi_query_xml.read),
    Format("nvidia-smi -q", smi_query.looks_like, smi_query.read),
    Format("nvidia-smi nvlink", smi_nvlink.looks_like, smi_nvlink.read),
    Format("nvidia-smi", smi_table.looks_like, smi_table.read),
    Format("nvidia-smi topo -p", smi_topo_path.looks_like, smi_topo_path.read),
    Format("nvidia-smi -q, of fabrics", smi_fabric.looks_like, smi_fabric.read),
    Format("hwloc XML", hwloc_xml.looks_like, hwloc_xml.read),
    Format("lstopo", lstopo.looks_like, lstopo.read),
    Format("NCCL log", nccl_log.looks_like, nccl_log.read),
    Format("ibstat", ibstat.looks_like, ibstat.read),
    Format("ibv_devinfo", ibv_devinfo.looks_like, ibv_devinfo.read),
    Format("rdma link", rdma_link.looks_like, rdma_link.read),
    Format("show_gids", show_gids.looks_like, show_gids.read),
    Format("ibdev2netdev", ibdev2netdev.looks_like, ibdev2netdev.read),
    Format("lspci", lspci.looks_like, lspci.read),
    Format("lspci -tv", lspci_tree.looks_like, lspci_tree.read),
    Format("numactl -H", numactl.looks_like, numactl.read),
)
_EXPECTED: Final = (
    "a capture (JSON by `nvtopo capture`), or what nvidia-smi, NCCL, hwloc, lspci or an RDMA tool prints"
    " (`nvtopo dump --help` has the list)"
)


class ForeignHost(NamedTuple):
    """A host of the input, and its node."""

    name: str
    """As the input names it; empty where it does not."""
    node: NodeTopology


def read_foreign(content: bytes, name: str) -> NodeTopology:
    """The node that another tool's output describes, the first where it describes several; ``name`` says whence it is.

    Raises:
        ParseError: it is none of the formats, or holds no topology.
    """
    return read_hosts(content, name)[0].node


def read_hosts(content: bytes, name: str) -> tuple[ForeignHost, ...]:
    """Every host that another tool's output describes; at least one.

    Raises:
        ParseError: it is none of the formats, or holds no topology.
    """
    given = Given(content, name)
    if len(content) > _LARGEST_TEXT and not sysfs_archive.looks_like(given):
        raise given.refused(f"{len(content) >> 20} MiB", f"at most {_LARGEST_TEXT >> 20} MiB of text or XML")
    if sysfs_archive.looks_like(given):
        return (ForeignHost("", _finished([sysfs_archive.read(given)], given)),)
    hosts = [found for host, part in given.hosts for found in _of_host(host, part)]
    nodes = siblings.compared([(host.name, host.node) for host in hosts])
    return tuple(ForeignHost(host.name, node) for host, node in zip(hosts, nodes, strict=True))


def _of_host(name: str, given: Given) -> Iterator[ForeignHost]:
    """The hosts of one text, which is of one host where it is not NCCL's file of a multi-node domain."""
    parts = [form.read(given) for form in FORMATS if form.looks_like(given)]
    if not nccl_xml.looks_like(given):
        if not parts:
            raise refusal(given, _EXPECTED)
        yield ForeignHost(name, _finished(parts, given))
        return
    for position, (host, node) in enumerate(nccl_xml.read_hosts(given)):
        yield ForeignHost(host or name, _finished([*parts, node] if position == 0 else [node], given))


def _finished(parts: list[NodeTopology], given: Given) -> NodeTopology:
    """The node of all outputs, and what none of them shows: whether it is well, devices of which there are none."""
    node = joined(parts)
    lost = smi_errors.lost(given)
    unseen: set[Unseen] = {*node.unseen, "health"}
    if not node.gpus:
        unseen.add("gpus")
    if not node.nics:
        unseen.add("nics")
    if not node.pairs and not any(gpu.nvlinks for gpu in node.gpus):
        unseen.add("paths")
    if lost:
        unseen.add("gpus")
    problems = sorted({*node.problems, *lost}, key=lambda problem: (problem.source, problem.subject, problem.reason))
    shown = tuple(kind for kind in get_args(Unseen) if kind in unseen)
    return _bounded(replace(node, unseen=shown, problems=tuple(problems)), given)


def _bounded(node: NodeTopology, given: Given) -> NodeTopology:
    """The node, if every value in it is one that a machine can have: the model's bounds hold for documents."""
    try:
        _NODE.read(encode(node))
    except (ParseError, ValueError, OverflowError) as error:  # the encoder's: no UTF-8, a number of more than 64 bits
        raise given.refused(f"a value that no machine has ({error})", "the output of a tool") from error
    return node
