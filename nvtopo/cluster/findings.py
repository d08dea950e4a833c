"""Findings: what does not fit together. A disagreement is said, never decided by a coin toss."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "fabric",  # the NVLink fabric of a node is not ready, broken, or its GPUs disagree about it
    "domain",  # the GPUs of one node name several NVLink domains
    "position",  # the GPUs of one node name several places
    "nvlink",  # NVLinks that do not carry traffic
    "same-place",  # several nodes claim one place in a rack
    "same-gpu",  # several nodes claim one GPU
]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that does not fit, and the nodes that it is about."""

    nodes: tuple[str, ...]
    kind: Kind
    reason: str
    """In words, with the values that disagree."""
