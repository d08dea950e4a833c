"""Bridges that a PCIe card had and has no more: known only to who saw them (h100-pcie-no-bridges never had any)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from nvtopo.model.conclusions import nvlink
from nvtopo.model.conclusions.links import unknown_links, usable_links
from nvtopo.model.records.node import Gpu, NodeTopology

#: GPUs that are remembered; no machine has had more since its agent started.
_MOST_GPUS: Final = 64

Seen = Mapping[str, int]
"""A GPU's UUID → the most NVLinks that were usable at once."""


def seen(before: Seen, node: NodeTopology) -> Seen:
    """What was seen before, and now."""
    usable = {gpu.uuid: usable_links(gpu) for gpu in node.gpus} if nvlink.are_cards(node) else {}
    most = {uuid: max(before.get(uuid, 0), usable.get(uuid, 0)) for uuid in (*usable, *before)}
    return MappingProxyType(dict(list(most.items())[:_MOST_GPUS]))


def with_lost(node: NodeTopology, before: Seen) -> NodeTopology:
    """The node, with ``nvlinks_before`` on each card that has, or shows, fewer usable links than it was seen with."""
    if not nvlink.are_cards(node):
        return node
    return replace(node, gpus=tuple(_with_lost(gpu, before.get(gpu.uuid, 0)) for gpu in node.gpus))


def _with_lost(gpu: Gpu, links: int) -> Gpu:
    known = not gpu.mig and not unknown_links(gpu)
    return replace(gpu, nvlinks_before=links) if known and links > usable_links(gpu) else gpu
