"""A node's shadows as ResourceSlices (resource.k8s.io/v1).

Each pool is one slice, so that each write is whole: a pool of several is unusable between the first write and the last.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

from nvtopo.exporters.shadows import DEGRADED, DRIVER, Shadow, Shadows

API_VERSION: Final = "resource.k8s.io/v1"
KIND: Final = "ResourceSlice"
MOST_DEVICES: Final = 64
"""Of one slice whose devices may have taints; without taints it would be 128."""
_LONGEST_NAME: Final = 253


def slices(node: str, found: Shadows) -> tuple[dict[str, Any], ...]:
    """The slices without generation and owner; none for a node that has nothing to say."""
    parts = (("gpus", found.gpus), ("nics", found.nics), ("node", found.nodes))
    return tuple(one for kind, devices in parts for one in _of_kind(node, kind, devices))


def _of_kind(node: str, kind: str, devices: Sequence[Shadow]) -> Iterator[dict[str, Any]]:
    for number, start in enumerate(range(0, len(devices), MOST_DEVICES)):
        own = kind if number == 0 else f"{kind}-{number}"
        yield {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": _fit(f"{node}-{own}.{DRIVER}")},
            "spec": {
                "driver": DRIVER,
                "nodeName": node,
                "pool": {"name": _fit(f"{node}/{own}"), "generation": 1, "resourceSliceCount": 1},
                "devices": [_device(one) for one in devices[start : start + MOST_DEVICES]],
            },
        }


def _fit(name: str) -> str:
    """A node's name may itself be as long as a name may be."""
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{DRIVER}-{digest}"


def _device(one: Shadow) -> dict[str, Any]:
    attributes = {
        name: {"int": value} if isinstance(value, int) else {"string": value} for name, value in one.attributes.items()
    }
    device: dict[str, Any] = {"name": one.name, "attributes": attributes}
    if one.ill is not None:
        device["taints"] = [{"key": DEGRADED, "value": one.ill.code, "effect": "NoSchedule"}]
    return device
