"""Containers that hold GPUs, by the real kubelet: a device plugin of GPUs that are none, and a pod with two."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from nvtopo.model.records.node import Gpu, NodeTopology
from nvtopo.model.samples import audit
from nvtopo.model.samples.allocation import allocation
from nvtopo.reports.pods import text
from nvtopo.sources.kubelet import pod_resources, pods
from nvtopo.sources.sysfs import SysfsReader, SysfsRoot
from tests.kubelet import place
from tests.kubelet.cluster import Cluster
from tests.kubelet.programs import PAUSE_NAME
from tests.lab.kube import Json, wait_for

pytestmark = pytest.mark.kubelet

_PLUGINS: Final = Path("/var/lib/kubelet/device-plugins")
_ENDPOINT: Final = "nvtopo-test.sock"
_RESOURCE: Final = "nvidia.com/gpu"
_UUIDS: Final = tuple(f"GPU-{digit * 8}-2222-3333-4444-555555555555" for digit in "1234")
_POD: Final = "train-0"


def _field(number: int, content: bytes) -> bytes:
    """A field that has a length, of a message shorter than 128 bytes."""
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


def _device(uuid: str) -> bytes:
    """k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1 Device: ID, health, and NUMA node 0, which proto3 leaves out."""
    return _field(1, uuid.encode()) + _field(2, b"Healthy") + _field(3, _field(1, b""))


class _Plugin:
    """Gives GPUs that are none: nothing of them reaches a container."""

    def __init__(self) -> None:
        self.stop = threading.Event()

    def list_and_watch(self, _request: bytes, _context: Any) -> Iterator[bytes]:
        yield b"".join(_field(1, _device(uuid)) for uuid in _UUIDS)
        self.stop.wait()

    def methods(self) -> dict[str, Any]:
        """Of the service DevicePlugin: no options, and an empty answer for the one container of a pod."""
        return {
            "GetDevicePluginOptions": grpc.unary_unary_rpc_method_handler(lambda _request, _context: b""),
            "ListAndWatch": grpc.unary_stream_rpc_method_handler(self.list_and_watch),
            "Allocate": grpc.unary_unary_rpc_method_handler(lambda _request, _context: _field(1, b"")),
        }


@pytest.fixture(scope="module")
def plugin(cluster: Cluster) -> Iterator[None]:
    """Registered with the kubelet, which offers the GPUs."""
    plugin = _Plugin()
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool)
        handler = grpc.method_handlers_generic_handler("v1beta1.DevicePlugin", plugin.methods())
        server.add_generic_rpc_handlers((handler,))
        assert server.add_insecure_port(f"unix:{_PLUGINS / _ENDPOINT}")
        server.start()
        try:
            with grpc.insecure_channel(f"unix:{_PLUGINS / 'kubelet.sock'}") as channel:
                request = _field(1, b"v1beta1") + _field(2, _ENDPOINT.encode()) + _field(3, _RESOURCE.encode())
                channel.unary_unary("/v1beta1.Registration/Register")(request, timeout=20)
            wait_for(lambda: _allocatable(cluster) == str(len(_UUIDS)), what="the node's GPUs", seconds=60)
            yield
        finally:
            plugin.stop.set()
            server.stop(0).wait()


def _allocatable(cluster: Cluster) -> str:
    node = cluster.api.get(f"/api/v1/nodes/{place.NODE}")
    return str(node["status"]["allocatable"].get(_RESOURCE))


@pytest.fixture(scope="module")
def pod(cluster: Cluster, plugin: None) -> Iterator[str]:
    """A pod of two containers, of which one holds two GPUs, running; its UID."""
    del plugin
    containers = [
        {"name": "worker", "image": PAUSE_NAME, "resources": {"limits": {_RESOURCE: 2}}},
        {"name": "sidecar", "image": PAUSE_NAME},
    ]
    path = "/api/v1/namespaces/default/pods"
    spec = {"nodeName": place.NODE, "containers": containers, "terminationGracePeriodSeconds": 0}
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": _POD}, "spec": spec}
    made = cluster.api.create(path, document)
    try:
        wait_for(lambda: _running(cluster.api.get(f"{path}/{_POD}")), what="the pod", seconds=120)
        yield str(made["metadata"]["uid"])
    finally:
        cluster.api.delete(f"{path}/{_POD}")
        wait_for(lambda: cluster.api.find(f"{path}/{_POD}") is None, what="the end of the pod", seconds=60)


def _running(pod: Json) -> bool:
    return bool(pod["status"].get("phase") == "Running")


def test_the_kubelet_says_which_container_holds_which_gpus(pod: str) -> None:
    del pod
    root = SysfsRoot()
    reader = SysfsReader(root, "test")
    (held,) = pod_resources.read(root, reader).gpus
    assert reader.problems == []
    assert (held.namespace, held.pod, held.container) == ("default", _POD, "worker")
    assert len(held.devices) == 2
    assert set(held.devices) < set(_UUIDS)
    assert held.numa_nodes == (0,)


def test_the_audit_shows_a_pod_of_two_groups_though_one_was_free(pod: str) -> None:
    """Which two of the four the kubelet gives is its own choice, so the pairs are laid across it."""
    del pod
    reading = pods.read(SysfsRoot())
    node = NodeTopology(gpus=tuple(Gpu(index=index, uuid=uuid) for index, uuid in enumerate(_UUIDS)))
    found = allocation(reading.held, node, {})
    (held,) = found.containers
    first, second = held.gpus
    third, fourth = sorted({*range(len(_UUIDS))} - {first, second})
    across, along = ((first, third), (second, fourth)), ((first, second), (third, fourth))
    (split,) = audit.pods(found, range(len(_UUIDS)), across, {})
    assert (split.pod, split.groups, split.fewest_groups, split.split) == (_POD, 2, 1, True)
    assert audit.pods(found, range(len(_UUIDS)), along, {})[0].split is False
    assert "its GPUs would fit in 1 group" in text({place.NODE: ([split], "")})


def test_its_cgroup_is_found_by_the_link_to_its_log(pod: str) -> None:
    """Where control groups are of version 1, the link is found and this is said: there is no memory by node to read."""
    del pod
    reading = pods.read(SysfsRoot())
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        (held,) = reading.containers
        assert held.memory_bytes["anon"]
        assert held.cpus
        assert reading.problems == ()
    else:
        (problem,) = reading.problems
        assert problem.reason.startswith("expected cgroup v2")
