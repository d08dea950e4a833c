"""The NUMA nodes that device plugins state to the kubelet: ``GetAllocatableResources`` of its pod resources API, v1.

k8s.io/kubelet/pkg/apis/podresources/v1/api.proto has the numbers of the fields. Only root may use the socket.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from nvtopo.errors import ParseError
from nvtopo.model.formats import limits
from nvtopo.model.records.facts import DeviceHint, DeviceHints
from nvtopo.sources.kubelet import pod_resources
from nvtopo.sources.kubelet.protobuf import messages, text, texts
from nvtopo.sources.machine import Machine, Reading
from nvtopo.sources.sysfs import SysfsReader

NAME = "hints"

_ALLOCATABLE: Final = "/v1.PodResourcesLister/GetAllocatableResources"


def read(machine: Machine) -> Reading:
    """Each device of each device plugin; None without a kubelet. A recorded machine has none."""
    reader = SysfsReader(machine.root, NAME)
    if not machine.root.is_socket(pod_resources.SOCKET):
        return Reading(None)
    answer = pod_resources.asked(machine.root, reader, _ALLOCATABLE)
    try:
        facts = None if answer is None else DeviceHints(devices=tuple(devices_in(answer)))
    except ParseError as error:
        reader.problem(pod_resources.SOCKET, f"expected AllocatableResourcesResponse: {error}")
        facts = None
    return Reading(facts, tuple(reader.problems))


def devices_in(answer: bytes) -> Iterator[DeviceHint]:
    """The devices in an ``AllocatableResourcesResponse``.

    Raises:
        ParseError: it is none.
    """
    yield from islice(_devices(answer), limits.MOST_FUNCTIONS)


def _devices(answer: bytes) -> Iterator[DeviceHint]:
    for given in messages(answer, 1):
        nodes = tuple(sorted({node for node in pod_resources.numa_nodes(given) if node <= limits.HIGHEST_INDEX}))
        for id_ in texts(given, 2):
            yield DeviceHint(
                resource=text(given, 1)[: limits.LONGEST_NAME], id=id_[: limits.LONGEST_NAME], numa_nodes=nodes
            )
