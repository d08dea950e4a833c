"""RDMA ports, read at the moment of the scrape: a NIC that hangs costs one scrape a second, and later ones nothing."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from nvtopo.agent.patience import Hangs, Patience
from nvtopo.model.node import NodeTopology
from nvtopo.model.rdma_counters import DeviceReading
from nvtopo.sinks import rdma_metrics
from nvtopo.sinks.metrics import Observation
from nvtopo.sinks.rdma_metrics import Read
from nvtopo.sinks.series import Families, Part
from nvtopo.sources.rdma_counters import CounterReader
from nvtopo.sources.sysfs import SysfsRoot

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 1.0


class RdmaPorts:
    """Reads devices one after the other; scrapes that come together take turns."""

    def __init__(self, root: SysfsRoot, *, traffic: bool, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Without ``traffic``, what counts bytes and packets is not read."""
        self._reader = CounterReader(root, traffic=traffic)
        self._patience = Patience[DeviceReading](patience_seconds)
        self._turn = threading.Lock()
        self._hanging: frozenset[str] = frozenset()

    def read(self, devices: Mapping[str, Sequence[int]]) -> Read:
        """These devices' ports now. What does not answer in time is named, and has no reading."""
        with self._turn:
            began = time.monotonic()
            answered, hanging = [], set()
            for name, ports in devices.items():
                try:
                    answered.append(self._patience.call(name, partial(self._reader.read, name, ports)))
                except Hangs:
                    hanging.add(name)
            self._log(frozenset(hanging))
            found = tuple(device for device in answered if device.ports or device.unreadable)
            return Read(found, sorted(hanging), time.monotonic() - began)

    def _log(self, hanging: frozenset[str]) -> None:
        """Transitions only."""
        for name in sorted(hanging - self._hanging):
            logger.warning("device hangs", extra={"source": "rdma", "subject": name})
        for name in sorted(self._hanging - hanging):
            logger.info("device answers again", extra={"source": "rdma", "subject": name})
        self._hanging = hanging


def part(root: SysfsRoot, latest: Callable[[], Observation | None], *, traffic: bool = True) -> Part:
    """The part of the page that is RDMA; without an observation it is not known which devices are NICs."""
    ports = RdmaPorts(root, traffic=traffic)

    def now() -> Families:
        observation = latest()
        devices = named(observation.node) if observation else {}
        return rdma_metrics.families(ports.read(devices), observation.node) if observation and devices else ()

    return now


def named(node: NodeTopology) -> dict[str, list[int]]:
    """RDMA device → its ports; without those that manage a GPU board's NVSwitches, and without virtual functions."""
    return {nic.name: [port.number for port in nic.ports] for nic in node.nics if nic.ports}
