"""RDMA ports, read at the moment of the scrape: a NIC that hangs costs one scrape a second, and later ones nothing."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from nvtopo.model.observation import Observation
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.samples.rdma_counters import DeviceReading
from nvtopo.model.samples.rdma_resources import DeviceResources
from nvtopo.runtime.call_guard import CallGuard, CallTimedOut
from nvtopo.sinks.metrics import rdma as rdma_metrics
from nvtopo.sinks.metrics import rdma_resources as rdma_resource_metrics
from nvtopo.sinks.metrics.rdma import Read
from nvtopo.sinks.metrics.series import Family, Part, one
from nvtopo.sources.rdma import netlink_rdma as rdma_netlink
from nvtopo.sources.rdma.counters import CounterReader
from nvtopo.sources.sysfs import SysfsRoot

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 1.0


class RdmaOptions(NamedTuple):
    """What is read beside errors and congestion."""

    traffic: bool = True
    """Bytes and packets, which node_exporter counts too."""
    queue_pairs: bool = False
    """Queue pairs one by one, which costs the NIC's firmware a question each."""
    pause: bool = True
    """Pause frames by priority, which have a part of the page of their own."""


DEFAULT = RdmaOptions()


class RdmaPorts:
    """Reads devices one after the other; scrapes that come together take turns."""

    def __init__(self, root: SysfsRoot, *, traffic: bool, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Without ``traffic``, what counts bytes and packets is not read."""
        self._reader = CounterReader(root, traffic=traffic)
        self._call_guard = CallGuard[DeviceReading](patience_seconds)
        self._turn = threading.Lock()
        self._hanging: dict[str, Sequence[int]] = {}

    def read(self, found: Mapping[str, Sequence[int]]) -> Read:
        """These devices' ports now. What does not answer in time is named, and has no reading.

        One that hangs is not among those found for long: it is asked for until it answers or is gone.
        """
        with self._turn:
            began = time.monotonic()
            devices = {**self._hanging, **found}
            answers = self._call_guard.each(
                {name: partial(self._reader.read, name, ports) for name, ports in devices.items()}
            )
            self._log({name: devices[name] for name in answers.hanging})
            seen = tuple(device for device in answers.by_subject.values() if device.ports or device.unreadable)
            return Read(seen, answers.hanging, time.monotonic() - began)

    def _log(self, hanging: dict[str, Sequence[int]]) -> None:
        """Log devices that begin to hang, and those that answer again."""
        for name in sorted(hanging.keys() - self._hanging.keys()):
            logger.warning("device hangs", extra={"source": "rdma", "subject": name})
        for name in sorted(self._hanging.keys() - hanging.keys()):
            logger.info("device answers again", extra={"source": "rdma", "subject": name})
        self._hanging = hanging


class RdmaKernel:
    """Asks the kernel what RDMA programs hold; of a recorded machine it is not asked."""

    def __init__(self, *, queue_pairs: bool, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """``queue_pairs``: each queue pair too, which costs its NIC a question."""
        self._read = partial(rdma_netlink.read, patience_seconds, queue_pairs=queue_pairs)
        self._call_guard = CallGuard[tuple[DeviceResources, ...]](patience_seconds)
        self._turn = threading.Lock()

    def read(self) -> tuple[DeviceResources, ...] | None:
        """Every device's resources; None where the kernel does not answer in time, or not for us."""
        with self._turn:
            try:
                return self._call_guard.call("netlink", self._read)
            except (OSError, CallTimedOut):
                return None


def part(root: SysfsRoot, latest: Callable[[], Observation | None], options: RdmaOptions = DEFAULT) -> Part:
    """The part of the page that is RDMA; without an observation it is not known which devices are NICs."""
    ports, kernel = RdmaPorts(root, traffic=options.traffic), RdmaKernel(queue_pairs=options.queue_pairs)

    def now() -> Iterator[Family]:
        observation = latest()
        if observation is None:
            return
        devices = named(observation.topology)
        read = ports.read(devices)
        if read.devices or read.hanging:
            yield from rdma_metrics.families(read, observation.topology)
        if root.live and devices:
            held = kernel.read()
            yield one(rdma_resource_metrics.NETLINK_UP, int(held is not None))
            yield from rdma_resource_metrics.families([device for device in held or () if device.name in devices])

    return now


def named(node: NodeTopology) -> dict[str, list[int]]:
    """RDMA device → its ports; without those that manage a GPU board's NVSwitches, and without virtual functions."""
    return {nic.name: [port.number for port in nic.ports] for nic in node.nics if nic.ports}
