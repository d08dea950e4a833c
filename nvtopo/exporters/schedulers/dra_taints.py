"""Dynamic Resource Allocation: a DeviceTaintRule for each degraded GPU, on the device that its driver published.

Claims that do not tolerate it avoid the device, also those that ask for GPUs alone. No pod is evicted.
"""

from collections.abc import Mapping
from typing import Any, Final

from nvtopo.cluster.taints import Target
from nvtopo.exporters.schedulers.names import object_name
from nvtopo.exporters.shadows import DEGRADED

API_VERSION: Final = "resource.k8s.io/v1beta2"
"""Of Kubernetes 1.36; what is applied has the version that the server serves."""


def documents(taints: Mapping[Target, str], name: str) -> list[dict[str, Any]]:
    """One rule for each device: device → the code of its fault."""
    return [
        {
            "apiVersion": API_VERSION,
            "kind": "DeviceTaintRule",
            "metadata": {"name": object_name(name, "/".join(target))},
            "spec": {
                "deviceSelector": target._asdict(),
                "taint": {"key": DEGRADED, "value": code, "effect": "NoSchedule"},
            },
        }
        for target, code in taints.items()
    ]


def target(found: Mapping[str, Any]) -> tuple[Target, str] | None:
    """The device that a rule taints, and the fault; None if it is no rule of one device."""
    spec = found.get("spec")
    selector = spec.get("deviceSelector") if isinstance(spec, Mapping) else None
    taint = spec.get("taint") if isinstance(spec, Mapping) else None
    if not isinstance(selector, Mapping) or not isinstance(taint, Mapping):
        return None
    parts = [selector.get(name) for name in Target._fields]
    code = taint.get("value")
    if not all(isinstance(part, str) and part for part in parts) or not isinstance(code, str):
        return None
    return Target(*map(str, parts)), code
