"""The containers that hold GPUs, their memory and their CPUs: ``pod_resources`` says which, ``pod_cgroups`` the rest.

They come and go with every job, so they are in no snapshot and no resource: the agent's page alone has them.
"""

from typing import Final, NamedTuple

from nvtopo.model.pods import GpuContainer
from nvtopo.model.record import Problem
from nvtopo.sources import pod_cgroups, pod_resources
from nvtopo.sources.sysfs import SysfsReader, SysfsRoot

NAME: Final = "pods"

#: Far more than whole GPUs or MIG devices allow (8 by 7); shares of a GPU have no limit of their own.
MOST_CONTAINERS: Final = 128


class PodsReading(NamedTuple):
    """What there is at this moment."""

    containers: tuple[GpuContainer, ...] = ()
    problems: tuple[Problem, ...] = ()


def read(root: SysfsRoot) -> PodsReading:
    """The running containers with GPUs, ordered by name; nothing where there is no kubelet."""
    reader = SysfsReader(root, NAME)
    given = sorted(pod_resources.read(root, reader), key=lambda one: (one.namespace, one.pod, one.container))
    if len(given) > MOST_CONTAINERS:
        reader.problem(pod_resources.SOCKET, f"{len(given)} containers hold GPUs: only {MOST_CONTAINERS} are shown")
    containers = tuple(pod_cgroups.measured(given[:MOST_CONTAINERS], reader))
    return PodsReading(containers, tuple(reader.problems))
