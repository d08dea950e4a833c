"""Which labels say something of what the input does not show, and are left out then.

What is bad stays bad however little is shown: ``ready=false`` and ``nvlink.degraded=true`` are never left out.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from nvtopo.model.records.places import Unseen

_OF_GPUS: Final = (
    r"gpu\.(?:count|product|memory-mib|compute\..*|nvlink\.group.*)|nvlink\..*|mig|numa\.gpu-aligned|nic\.gpu-locality"
    r"|pcie\.generation"
)
_OF_PATHS: Final = (
    r"gpu\.nvlink\.group.*|nvlink\.(?:groups|group-size|full-mesh|degraded)|nic\.gpu-locality|rdma\.rails"
)
_LABELS: Final[Mapping[Unseen, re.Pattern[str]]] = MappingProxyType(
    {
        "gpus": re.compile(rf"(?:nvtopo\.io/)?(?:{_OF_GPUS}|ready|rdma\.rails)"),
        "nics": re.compile(r"(?:nvtopo\.io/)?(?:nic\.count|nic\.gpu-locality|numa\.gpu-aligned|rdma\..*)"),
        "paths": re.compile(rf"(?:nvtopo\.io/)?(?:{_OF_PATHS}|ready)"),
        "health": re.compile(r"(?:nvtopo\.io/)?ready"),
    }
)
_BAD: Final[Mapping[str, str]] = MappingProxyType({"nvtopo.io/ready": "false", "nvtopo.io/nvlink.degraded": "true"})


def shown(labels: Mapping[str, str], unseen: Iterable[Unseen]) -> dict[str, str]:
    """The labels, without those that what is unseen could make false."""
    patterns = [_LABELS[kind] for kind in unseen]
    return {
        name: value
        for name, value in labels.items()
        if _BAD.get(name) == value or not any(pattern.fullmatch(name) for pattern in patterns)
    }
