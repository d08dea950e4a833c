"""Several outputs of ``nvidia-smi`` in one text, as bug reports hold them: one node from all of them.

The matrix says how GPUs are joined, ``-q`` what they are, ``nvlink -s`` which of their links are up. All number GPUs
in the same order, so they are joined by index, where they speak of equally many.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from msgspec.structs import replace

from nvtopo.model.node import Gpu, NodeTopology
from nvtopo.model.record import Problem
from nvtopo.sources.foreign import smi_nvlink, smi_query, smi_query_facts, smi_query_xml, smi_table, smi_topo
from nvtopo.sources.foreign.given import Given


class Part(NamedTuple):
    """One of the outputs."""

    looks_like: Callable[[Given], bool]
    read: Callable[[Given], NodeTopology]


#: What a GPU is comes from the first that says it.
PARTS: Final = (
    Part(smi_topo.looks_like, smi_topo.read),
    Part(smi_query_xml.looks_like, smi_query_xml.read),
    Part(smi_query.looks_like, smi_query.read),
    Part(smi_nvlink.looks_like, smi_nvlink.read),
    Part(smi_table.looks_like, smi_table.read),
)


def looks_like(given: Given) -> bool:
    """Whether at least one of the outputs is in the text."""
    return (b"GPU" in given.content or given.is_utf16 or b"nvidia_smi_log" in given.content) and any(
        part.looks_like(given) for part in PARTS
    )


def read(given: Given) -> NodeTopology:
    """The node that the outputs describe together.

    Raises:
        ParseError: one of them contradicts itself.
    """
    nodes = [part.read(given) for part in PARTS if part.looks_like(given)]
    joined = nodes[0]
    for node in nodes[1:]:
        joined = _join(joined, node)
    return joined


def _join(one: NodeTopology, other: NodeTopology) -> NodeTopology:
    """What the first says, and what the second says beyond it."""
    if [gpu.index for gpu in one.gpus] != [gpu.index for gpu in other.gpus]:
        reason = f"one output names {len(one.gpus)} GPUs, another one {len(other.gpus)}: the first was read"
        problem = Problem(source=smi_query_facts.SOURCE, subject="GPUs", reason=reason)
        return replace(one, problems=(*one.problems, problem))
    return replace(
        one,
        host=one.host if one.host.driver_version else other.host,
        gpus=tuple(_joined(mine, theirs) for mine, theirs in zip(one.gpus, other.gpus, strict=True)),
        nvlink_hidden=one.nvlink_hidden and other.nvlink_hidden,
        problems=_problems(one, other),
    )


def _joined(mine: Gpu, theirs: Gpu) -> Gpu:
    known = {name: getattr(theirs, name) for name in Gpu.__struct_fields__ if not getattr(mine, name)}
    return replace(mine, **{name: value for name, value in known.items() if value not in (None, "", ())})


def _problems(one: NodeTopology, other: NodeTopology) -> tuple[Problem, ...]:
    """All problems of both, less those of the output that can't show NVLink beside one that does."""
    shown = not (one.nvlink_hidden and other.nvlink_hidden)
    problems = {*one.problems, *other.problems}
    kept = (problem for problem in problems if not (shown and problem.subject == "NVLink"))
    return tuple(sorted(kept, key=lambda problem: (problem.source, problem.subject, problem.reason)))
