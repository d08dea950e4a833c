"""Which containers hold GPUs: ``List`` of the kubelet's pod resources API, v1, in Kubernetes since 1.20.

k8s.io/kubelet/pkg/apis/podresources/v1/api.proto has the numbers of the fields. Only root may use the socket: without
the right there is a problem, without a kubelet there are no containers. A recorded machine has the answer in a file in
place of the socket.
"""

import errno
import os
from collections.abc import Iterator
from typing import Final, NamedTuple

from nvtopo.errors import ParseError, ReadError
from nvtopo.model.samples.allocation import GPU_IDS, GPU_RESOURCES, Container, Device
from nvtopo.model.samples.pods import GpuContainer
from nvtopo.sources.kubelet.protobuf import messages, number, text, texts
from nvtopo.sources.sysfs import SysfsReader, SysfsRoot

SOCKET: Final = "/var/lib/kubelet/pod-resources/kubelet.sock"
_LIST: Final = "/v1.PodResourcesLister/List"
#: The kubelet answers from memory, within milliseconds.
_DEADLINE_SECONDS: Final = 2.0
_NONE_READ: Final = "no kubelet answers here; is its directory mounted (daemonset/components/pods)?"


class Holders(NamedTuple):
    """Who holds devices, in two readings of one answer."""

    gpus: tuple[GpuContainer, ...] = ()
    """The containers that hold GPUs, without the facts of their cgroups."""
    everything: tuple[Container, ...] | None = None
    """The containers that hold devices of any kind; None if that can't be known."""


def holders(root: SysfsRoot, reader: SysfsReader) -> tuple[Container, ...] | None:
    """The containers that hold devices of any kind; None if that can't be known, with a problem in ``reader``."""
    found = read(root, reader).everything
    if found is None and not reader.problems:
        reader.problem(SOCKET, _NONE_READ)
    return found


def read(root: SysfsRoot, reader: SysfsReader) -> Holders:
    """Both; problems go to ``reader``. Without a kubelet there is neither a container nor a problem."""
    answer = _answer(root, reader)
    if answer is None:
        return Holders()
    try:
        return Holders(tuple(containers_in(answer)), tuple(holders_in(answer)))
    except ParseError as error:
        reader.problem(SOCKET, f"expected ListPodResourcesResponse: {error}")
        return Holders()


def _answer(root: SysfsRoot, reader: SysfsReader) -> bytes | None:
    try:
        return root.read(SOCKET)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        if error.errno != errno.ENXIO:  # open() fails so on a socket
            reader.problem(SOCKET, os.strerror(error.errno) if error.errno else str(error))
            return None
    return asked(root, reader, _LIST)


def asked(root: SysfsRoot, reader: SysfsReader, method: str) -> bytes | None:
    """What the kubelet answers to a method without arguments; None, with a problem in ``reader``, if it does not."""
    try:
        return _call(root, method)
    except ReadError as error:
        reader.problem(SOCKET, str(error))
        return None


def _call(root: SysfsRoot, method: str) -> bytes:
    """Ask the kubelet.

    Raises:
        ReadError: the kubelet does not answer in time, or refuses.
    """
    try:
        from nvtopo.sources.kubelet.grpc import call
    except ModuleNotFoundError as error:
        from nvtopo.extras import how_to_install

        raise ReadError(f"needs the Python package {error.name}: {how_to_install('kubernetes')}") from error
    try:
        connection = root.connect(SOCKET, _DEADLINE_SECONDS)
    except TimeoutError as error:
        raise ReadError(f"no connection within {_DEADLINE_SECONDS:g} s") from error
    except OSError as error:
        raise ReadError(error.strerror or str(error)) from error
    with connection:
        return call(connection, method, b"", _DEADLINE_SECONDS)


def containers_in(answer: bytes) -> Iterator[GpuContainer]:
    """The containers with GPUs in a ``ListPodResourcesResponse``."""
    for pod in messages(answer, 1):
        for container in messages(pod, 3):
            devices = [device for given in messages(container, 2) for device in _gpus(given)]
            nodes = {node for given in messages(container, 2) if _gpus(given) for node in numa_nodes(given)}
            claimed = [device for claim in messages(container, 5) for device in _claimed(claim) if device.is_gpu]
            devices += [f"{device.of}/{device.id}" for device in claimed]
            if devices:
                yield GpuContainer(
                    namespace=text(pod, 2),
                    pod=text(pod, 1),
                    container=text(container, 1),
                    devices=tuple(sorted(set(devices))),
                    numa_nodes=tuple(sorted(nodes)),
                )


def holders_in(answer: bytes) -> Iterator[Container]:
    """The containers with devices in a ``ListPodResourcesResponse``."""
    for pod in messages(answer, 1):
        for container in messages(pod, 3):
            devices = [Device(text(given, 1), id_) for given in messages(container, 2) for id_ in texts(given, 2)]
            devices += [device for claim in messages(container, 5) for device in _claimed(claim)]
            if devices:
                yield Container(text(pod, 2), text(pod, 1), text(container, 1), tuple(devices))


def _gpus(given: bytes) -> list[str]:
    """The device IDs in a ``ContainerDevices`` if they are GPUs, else none."""
    ids = texts(given, 2)
    return ids if text(given, 1).startswith(GPU_RESOURCES) or all(id_.startswith(GPU_IDS) for id_ in ids) else []


def numa_nodes(given: bytes) -> list[int]:
    """``ContainerDevices.topology.nodes[].ID``."""
    nodes = [number(node, 1) for topology in messages(given, 3) for node in messages(topology, 1)]
    return [node for node in nodes if node >= 0]


def _claimed(claim: bytes) -> list[Device]:
    """The devices of a ``DynamicResource``."""
    return [Device(text(resource, 2), text(resource, 4), claimed=True) for resource in messages(claim, 4)]
