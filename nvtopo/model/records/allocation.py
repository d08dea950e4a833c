"""Who holds which devices of a node now: the ``spec`` of a NodeAllocation."""

from typing import Annotated, Final

from msgspec import Meta

from nvtopo.model.formats import limits
from nvtopo.model.records.record import Index, Name, Record, Text

MOST_CONTAINERS: Final = 256
"""Containers of one node that hold devices: the kubelet runs 110 pods unless told otherwise."""
MOST_RESOURCES: Final = 16
"""Other resources of one container; more are left off."""


class Held(Record, frozen=True, kw_only=True):
    """One container that holds devices."""

    namespace: Name
    """The pod's namespace."""
    pod: Name
    """The pod's name."""
    container: Name
    """The container's name."""
    gpus: Annotated[tuple[Index, ...], Meta(max_length=limits.MOST_GPUS)] = ()
    """NVML's indices of the GPUs that it holds, whole or a share."""
    unidentified: Annotated[tuple[Name, ...], Meta(max_length=limits.MOST_GPUS)] = ()
    """GPU devices that it holds and whose GPU can't be told, as the kubelet names them."""
    nics: Annotated[tuple[Name, ...], Meta(max_length=limits.MOST_NICS)] = ()
    """The NICs that it holds, by the names of the NodeTopology."""
    resources: Annotated[tuple[Name, ...], Meta(max_length=MOST_RESOURCES)] = ()
    """Other device plugins' resources and DRA drivers of which it holds something, such as `rdma/hca`."""


class Allocation(Record, frozen=True, kw_only=True):
    """All containers of a node that hold devices, as its kubelet says."""

    containers: Annotated[tuple[Held, ...], Meta(max_length=MOST_CONTAINERS)]
    """By namespace, pod and name; no container means that none holds a device, unless `unknown` says why not. Always
    written: server-side apply makes null of a `spec` that loses its last field."""
    unknown: Text = ""
    """Why it is not known who holds what; empty if it is."""

    @property
    def gpus(self) -> frozenset[int] | None:
        """The GPUs that are held; None if that is not known of each GPU."""
        if self.unknown or any(one.unidentified for one in self.containers):
            return None
        return frozenset(gpu for one in self.containers for gpu in one.gpus)
