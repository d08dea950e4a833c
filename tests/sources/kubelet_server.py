"""The kubelet's pod resources API, v1, by gRPC's own server and protobuf's own encoder: the peer of ours."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from fixtures.synthesize.pod_resources import allocatable, encoded


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
        self.allocatable: Callable[[], bytes] = allocatable
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
    methods = {
        "List": grpc.unary_unary_rpc_method_handler(kubelet.list),
        "GetAllocatableResources": grpc.unary_unary_rpc_method_handler(lambda *_: kubelet.allocatable()),
    }
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
