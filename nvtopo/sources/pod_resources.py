"""Which containers hold GPUs: ``List`` of the kubelet's pod resources API, v1, in Kubernetes since 1.20.

k8s.io/kubelet/pkg/apis/podresources/v1/api.proto has the numbers of the fields. The socket is root's: whoever may not
use it has a problem, who has no kubelet has nothing. Of a recorded machine the answer lies in the socket's place.
"""

import errno
import os
from collections.abc import Iterator
from typing import Final

from nvtopo.errors import ReadError
from nvtopo.model.pods import GpuContainer
from nvtopo.sources.protobuf import messages, number, text, texts
from nvtopo.sources.sysfs import SysfsReader, SysfsRoot

SOCKET: Final = "/var/lib/kubelet/pod-resources/kubelet.sock"
_LIST: Final = "/v1.PodResourcesLister/List"
#: The kubelet answers from memory, within milliseconds.
_DEADLINE_SECONDS: Final = 2.0
_GPU_RESOURCES: Final = ("nvidia.com/gpu", "nvidia.com/mig-")
_GPU_IDS: Final = ("GPU-", "MIG-")
_GPU_DRIVER: Final = "gpu.nvidia.com"


def read(root: SysfsRoot, reader: SysfsReader) -> tuple[GpuContainer, ...]:
    """The containers that the kubelet gave GPUs to, with nothing of their cgroups; problems are the reader's."""
    answer = _answer(root, reader)
    try:
        return tuple(containers_in(answer or b""))
    except ValueError as error:
        reader.problem(SOCKET, f"expected ListPodResourcesResponse: {error}")
        return ()


def _answer(root: SysfsRoot, reader: SysfsReader) -> bytes | None:
    try:
        return root.read(SOCKET)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        if error.errno != errno.ENXIO:  # what open() says of a socket
            reader.problem(SOCKET, os.strerror(error.errno) if error.errno else str(error))
            return None
    try:
        return _list(root)
    except ReadError as error:
        reader.problem(SOCKET, str(error))
        return None


def _list(root: SysfsRoot) -> bytes:
    """Ask the kubelet.

    Raises:
        ReadError: it does not answer in time, or refuses.
    """
    try:
        from nvtopo.sources.grpc import call
    except ModuleNotFoundError as error:
        raise ReadError(f"needs the Python package {error.name}: pip install nvtopo[kubernetes]") from error
    try:
        connection = root.connect(SOCKET, _DEADLINE_SECONDS)
    except TimeoutError as error:
        raise ReadError(f"no connection within {_DEADLINE_SECONDS:g} s") from error
    except OSError as error:
        raise ReadError(error.strerror or str(error)) from error
    with connection:
        return call(connection, _LIST, b"", _DEADLINE_SECONDS)


def containers_in(answer: bytes) -> Iterator[GpuContainer]:
    """Those with GPUs, of ``ListPodResourcesResponse``."""
    for pod in messages(answer, 1):
        for container in messages(pod, 3):
            devices = [device for given in messages(container, 2) for device in _gpus(given)]
            nodes = {node for given in messages(container, 2) if _gpus(given) for node in _nodes(given)}
            devices += [device for claim in messages(container, 5) for device in _claimed(claim)]
            if devices:
                yield GpuContainer(
                    namespace=text(pod, 2),
                    pod=text(pod, 1),
                    container=text(container, 1),
                    devices=tuple(sorted(set(devices))),
                    numa_nodes=tuple(sorted(nodes)),
                )


def _gpus(given: bytes) -> list[str]:
    """The device IDs of ``ContainerDevices``, where they are GPUs."""
    ids = texts(given, 2)
    return ids if text(given, 1).startswith(_GPU_RESOURCES) or all(id_.startswith(_GPU_IDS) for id_ in ids) else []


def _nodes(given: bytes) -> list[int]:
    """``ContainerDevices.topology.nodes[].ID``."""
    nodes = [number(node, 1) for topology in messages(given, 3) for node in messages(topology, 1)]
    return [node for node in nodes if node >= 0]


def _claimed(claim: bytes) -> list[str]:
    """The GPUs of ``DynamicResource``, as ``<driver>/<device>``."""
    return [f"{_GPU_DRIVER}/{text(resource, 4)}" for resource in messages(claim, 4) if text(resource, 2) == _GPU_DRIVER]
