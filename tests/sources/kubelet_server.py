"""The kubelet's pod resources API, v1, by gRPC's own server and protobuf's own encoder: the peer of ours.

The messages are the published ones, field by field (k8s.io/kubelet/pkg/apis/podresources/v1/api.proto).
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

_TYPES: Final = descriptor_pb2.FieldDescriptorProto
_TEXT, _NUMBER, _SIZE = _TYPES.TYPE_STRING, _TYPES.TYPE_INT64, _TYPES.TYPE_UINT64
_MESSAGES: Final[Mapping[str, Mapping[str, tuple[int, int | str, bool]]]] = {
    # message → field → number, type, repeated
    "ListPodResourcesResponse": {"pod_resources": (1, "PodResources", True)},
    "PodResources": {
        "name": (1, _TEXT, False),
        "namespace": (2, _TEXT, False),
        "containers": (3, "ContainerResources", True),
    },
    "ContainerResources": {
        "name": (1, _TEXT, False),
        "devices": (2, "ContainerDevices", True),
        "cpu_ids": (3, _NUMBER, True),
        "memory": (4, "ContainerMemory", True),
        "dynamic_resources": (5, "DynamicResource", True),
    },
    "ContainerMemory": {
        "memory_type": (1, _TEXT, False),
        "size": (2, _SIZE, False),
        "topology": (3, "TopologyInfo", False),
    },
    "ContainerDevices": {
        "resource_name": (1, _TEXT, False),
        "device_ids": (2, _TEXT, True),
        "topology": (3, "TopologyInfo", False),
    },
    "TopologyInfo": {"nodes": (1, "NUMANode", True)},
    "NUMANode": {"ID": (1, _NUMBER, False)},
    "DynamicResource": {
        "claim_name": (2, _TEXT, False),
        "claim_namespace": (3, _TEXT, False),
        "claim_resources": (4, "ClaimResource", True),
    },
    "ClaimResource": {
        "cdi_devices": (1, "CDIDevice", True),
        "driver_name": (2, _TEXT, False),
        "pool_name": (3, _TEXT, False),
        "device_name": (4, _TEXT, False),
    },
    "CDIDevice": {"name": (1, _TEXT, False)},
}


def _response() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="podresources.proto", package="v1", syntax="proto3")
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for name, (number, kind, repeated) in fields.items():
            field = described.field.add(name=name, number=number)
            field.label = _TYPES.LABEL_REPEATED if repeated else _TYPES.LABEL_OPTIONAL
            if isinstance(kind, str):
                field.type, field.type_name = _TYPES.TYPE_MESSAGE, f".v1.{kind}"
            else:
                field.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("v1.ListPodResourcesResponse"))


_RESPONSE: Final = _response()


def encoded(*pods: Mapping[str, Any]) -> bytes:
    """``ListPodResourcesResponse`` with these pods, as protobuf writes it."""
    message = json_format.ParseDict({"pod_resources": list(pods)}, _RESPONSE())
    return bytes(message.SerializeToString(deterministic=True))


def pod(name: str, *containers: Mapping[str, Any], namespace: str = "jobs") -> dict[str, Any]:
    """``PodResources``."""
    return {"name": name, "namespace": namespace, "containers": list(containers)}


def gpus(name: str, *ids: str, nodes: tuple[int, ...] = (), resource: str = "nvidia.com/gpu") -> dict[str, Any]:
    """``ContainerResources`` with GPUs by the device plugin."""
    given: dict[str, Any] = {"resource_name": resource, "device_ids": list(ids)}
    if nodes:
        given["topology"] = {"nodes": [{"ID": node} for node in nodes]}
    return {"name": name, "devices": [given], "cpu_ids": [0, 1]}


def claim(name: str, *devices: str, driver: str = "gpu.nvidia.com") -> dict[str, Any]:
    """``ContainerResources`` with devices by a resource claim."""
    resources = [{"driver_name": driver, "pool_name": "node-a", "device_name": device} for device in devices]
    return {"name": name, "dynamic_resources": [{"claim_name": "c", "claim_resources": resources}]}


class Kubelet:
    """What the server answers; ``hangs`` until the event is set."""

    def __init__(self) -> None:
        self.answer: Callable[[], bytes] = encoded
        self.hang = threading.Event()
        self.hang.set()

    def list(self, request: bytes, context: Any) -> bytes:
        """``PodResourcesLister.List``."""
        assert request == b""
        self.hang.wait(30)
        try:
            return self.answer()
        except PermissionError as error:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
            raise


@contextmanager
def serving(socket: Path) -> Iterator[Kubelet]:
    """A server at the socket for as long as the block lasts."""
    kubelet = Kubelet()
    methods = {"List": grpc.unary_unary_rpc_method_handler(kubelet.list)}
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("v1.PodResourcesLister", methods),))
        socket.parent.mkdir(parents=True, exist_ok=True)
        assert server.add_insecure_port(f"unix:{socket}")
        server.start()
        try:
            yield kubelet
        finally:
            kubelet.hang.set()
            server.stop(0).wait()
