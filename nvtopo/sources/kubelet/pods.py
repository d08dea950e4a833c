"""The containers that hold GPUs, their memory and their CPUs: ``pod_resources`` says which, ``pod_cgroups`` the rest.

They come and go with every job, so they are only on the agent's page, not in the snapshot or the resource.
"""

from typing import Final, NamedTuple

from nvtopo.model.records.record import Problem
from nvtopo.model.samples.allocation import Container
from nvtopo.model.samples.pods import GpuContainer
from nvtopo.sources.kubelet import pod_cgroups, pod_resources
from nvtopo.sources.sysfs import SysfsReader, SysfsRoot

NAME: Final = "pods"

#: Far more than GPUs or MIG devices allow (8 by 7); time-shared GPUs have no limit of their own.
MOST_CONTAINERS: Final = 128


class PodsReading(NamedTuple):
    """One reading of the containers."""

    containers: tuple[GpuContainer, ...] = ()
    problems: tuple[Problem, ...] = ()
    held: tuple[Container, ...] = ()
    """The containers that hold devices of any kind, whether they have started or not."""


def read(root: SysfsRoot) -> PodsReading:
    """The running containers with GPUs, ordered by name; none if there is no kubelet."""
    reader = SysfsReader(root, NAME)
    holders = pod_resources.read(root, reader)
    given = sorted(holders.gpus, key=lambda one: (one.namespace, one.pod, one.container))
    if len(given) > MOST_CONTAINERS:
        reader.problem(pod_resources.SOCKET, f"{len(given)} containers hold GPUs: only {MOST_CONTAINERS} are shown")
    containers = tuple(pod_cgroups.measured(given[:MOST_CONTAINERS], reader))
    return PodsReading(containers, tuple(reader.problems), holders.everything or ())
