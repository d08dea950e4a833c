"""The gangs' barrier at the API server: a device of ours that every node has, and its class.

Each claim of a gang takes a share of it. kube-scheduler gives a pod its GPUs and does not bind it before the condition
``nvtopo.io/gang-ready`` stands at that share, and takes the devices back once ``nvtopo.io/gang-failed`` does.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from nvtopo.cluster.slices import OWN_DRIVER
from nvtopo.errors import NotFound
from nvtopo.kube.client import Client
from nvtopo.kube.resource_claims import FAILED, GANG_CLASS, GANG_POOL, GROUP, READY
from nvtopo.wire.documents import Json

MANAGER: Final = "nvtopo-gangs"
NAME: Final = f"{GANG_POOL}.{OWN_DRIVER}"
SLICE: Final = f"{GROUP}/resourceslices/{NAME}"
CLASS: Final = f"{GROUP}/deviceclasses/{GANG_CLASS}"
_MOST_DEVICES: Final = 128
_VERSION: Final = "resource.k8s.io/v1"
_TYPE: Final = "gang"


class _Device(msgspec.Struct, rename="camel"):
    binding_conditions: list[str] | None = None
    allow_multiple_allocations: bool | None = None


class _Spec(msgspec.Struct, rename="camel"):
    devices: Annotated[list[_Device], Meta(max_length=_MOST_DEVICES)] = []


class _Slice(msgspec.Struct, rename="camel"):
    spec: _Spec


_SLICE: Final = Json(_Slice, "a ResourceSlice")


def documents() -> tuple[dict[str, Any], dict[str, Any]]:
    """The class and the slice."""
    expression = f'device.driver == "{OWN_DRIVER}" && device.attributes["{OWN_DRIVER}"].?type.orValue("") == "{_TYPE}"'
    device = {
        "name": "gang",
        "attributes": {"type": {"string": _TYPE}},
        "allowMultipleAllocations": True,
        "bindingConditions": [READY],
        "bindingFailureConditions": [FAILED],
    }
    return (
        {
            "apiVersion": _VERSION,
            "kind": "DeviceClass",
            "metadata": {"name": GANG_CLASS},
            "spec": {"selectors": [{"cel": {"expression": expression}}]},
        },
        {
            "apiVersion": _VERSION,
            "kind": "ResourceSlice",
            "metadata": {"name": NAME},
            "spec": {
                "driver": OWN_DRIVER,
                "pool": {"name": GANG_POOL, "generation": 1, "resourceSliceCount": 1},
                "allNodes": True,
                "devices": [device],
            },
        },
    )


def raise_barrier(client: Client) -> bool:
    """Have the device there; whether it holds anybody.

    An API server whose feature gates are off (``DRADeviceBindingConditions``, ``DRAConsumableCapacity``) drops what it
    does not know of the device.

    Raises:
        ApiError: it was not written: ``NotFound`` where the API server has no ``resource.k8s.io/v1``.
        ParseError: the answer is no slice.
    """
    device_class, resource_slice = documents()
    client.apply(CLASS, msgspec.json.encode(device_class), manager=MANAGER)
    answer = client.apply(SLICE, msgspec.json.encode(resource_slice), manager=MANAGER)
    devices = _SLICE.read(answer.body, SLICE).spec.devices
    return any(one.allow_multiple_allocations and READY in (one.binding_conditions or ()) for one in devices)


def remove(client: Client) -> int:
    """Delete class and device; how many of the two there were.

    Raises:
        ApiError: one is still there.
    """
    gone = 0
    for path in (SLICE, CLASS):
        try:
            client.delete(path)
        except NotFound:
            continue
        gone += 1
    return gone
