"""Which tool wrote a file, told by its content and never by its name; and the node that it describes."""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from nvtopo.model.node import NodeTopology, encode
from nvtopo.sources.foreign import hwloc_xml, ibstat, lspci, nccl_xml, smi_session, sysfs_archive
from nvtopo.sources.foreign.given import Given
from nvtopo.sources.foreign.refusal import refusal

#: `lspci -vvv` of a large server has 1 MiB; every reader takes about a second for two, at worst.
_LARGEST_TEXT: Final = 16 << 20


class Format(NamedTuple):
    """One kind of file."""

    name: str
    looks_like: Callable[[Given], bool]
    read: Callable[[Given], NodeTopology]


#: The first that looks like it reads it: what is certain by its first bytes comes first, what can be in a log last.
FORMATS: Final = (
    Format("an archive of /sys", sysfs_archive.looks_like, sysfs_archive.read),
    Format("NCCL topology XML", nccl_xml.looks_like, nccl_xml.read),
    Format("hwloc XML", hwloc_xml.looks_like, hwloc_xml.read),
    Format("nvidia-smi topo -m, -q, -q -x or nvlink -s", smi_session.looks_like, smi_session.read),
    Format("ibstat or ibstatus", ibstat.looks_like, ibstat.read),
    Format("lspci", lspci.looks_like, lspci.read),
)


def read_foreign(content: bytes, name: str) -> NodeTopology:
    """The node that another tool's output describes; ``name`` says where it came from.

    Raises:
        ParseError: it is none of the formats, or holds no topology.
    """
    given = Given(content, name)
    if len(content) > _LARGEST_TEXT and not sysfs_archive.looks_like(given):
        raise given.refused(f"{len(content) >> 20} MiB", f"at most {_LARGEST_TEXT >> 20} MiB of text or XML")
    for form in FORMATS:
        if form.looks_like(given):
            return _bounded(form.read(given), given)
    raise refusal(given, f"a capture (JSON by `nvtopo capture`), {', '.join(form.name for form in FORMATS)}")


def _bounded(node: NodeTopology, given: Given) -> NodeTopology:
    """The node, if every value in it is one that a machine can have: the model's bounds hold for documents."""
    try:
        msgspec.json.decode(encode(node), type=NodeTopology)
    except msgspec.DecodeError as error:
        raise given.refused(f"a value that no machine has ({error})", "the output of a tool") from error
    return node
