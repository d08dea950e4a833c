"""What DRA drivers publish, written to an API server: slices as NVIDIA's driver has them, and shadows of ours."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.lab.kube import Api, Json

SLICES: Final = "/apis/resource.k8s.io/v1/resourceslices"
BUS_ID: Final = "resource.kubernetes.io/pciBusID"


def device_class(name: str, driver: str) -> Json:
    selectors = [{"cel": {"expression": f'device.driver == "{driver}"'}}]
    version = "resource.k8s.io/v1"
    return {"apiVersion": version, "kind": "DeviceClass", "metadata": {"name": name}, "spec": {"selectors": selectors}}


def attributes(values: Mapping[str, str | int | bool]) -> Json:
    kinds_of = {bool: "bool", int: "int", str: "string"}
    return {name: {kinds_of[type(value)]: value} for name, value in values.items()}


def publish(api: Api, driver: str, node: str, devices: Sequence[Json], **of: Any) -> None:
    name = f"{node}-{driver.replace('.', '-')}"
    pool = {"name": name, "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": driver, "pool": pool, "devices": list(devices), **(of or {"nodeName": node})}
    api.apply({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": name}, "spec": spec})


def address(index: int, bus: int = 0x10) -> str:
    return f"0000:{bus + index:02x}:00.0"


def publish_gpus(api: Api, node: str, groups: Mapping[int, str], ill: Sequence[int] = ()) -> None:
    """As NVIDIA's driver does, and shadows; that of a GPU that is ill has a taint."""
    real = [
        {"name": f"gpu-{index}", "attributes": attributes({"uuid": f"GPU-{index}", BUS_ID: address(index)})}
        for index in sorted(groups)
    ]
    taint = {"taints": [{"key": "topo.nvtopo.io/degraded", "effect": "NoSchedule"}]}
    shadows = [
        {
            "name": f"gpu-{index}",
            "attributes": attributes({"type": "gpu-shadow", "nvlinkGroup": group, BUS_ID: address(index)}),
            **(taint if index in ill else {}),
        }
        for index, group in sorted(groups.items())
    ]
    publish(api, "gpu.nvidia.com", node, real)
    publish(api, "topo.nvtopo.io", node, shadows)
