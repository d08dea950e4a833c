"""Pause statistics of RoCE ports, read at the moment of the scrape, with a deadline for all of them.

Reading them takes the kernel's lock for network configuration, so it waits for any other configuration of a device.
"""

import errno
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from nvtopo.model.observation import Observation
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.samples import pause_counters
from nvtopo.runtime.call_guard import CallGuard, CallTimedOut
from nvtopo.sinks.metrics import pause as pause_metrics
from nvtopo.sinks.metrics.pause import Port
from nvtopo.sinks.metrics.series import Family, Part
from nvtopo.sources.linux.ethtool_statistics import EthtoolStatistics
from nvtopo.sources.sysfs import SysfsRoot

PATIENCE_SECONDS = 1.0
#: The device is gone, or its driver has no statistics.
_NOTHING = frozenset({errno.ENODEV, errno.EOPNOTSUPP})

Statistics = dict[Port, dict[str, int]]


class PauseStatistics:
    """Asks for all ports in turn; scrapes that come together take turns."""

    def __init__(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._ethtool = EthtoolStatistics(pause_counters.wanted)
        self._call_guard = CallGuard[Statistics](patience_seconds)
        self._turn = threading.Lock()

    def read(self, netdevs: Mapping[Port, str]) -> Statistics | None:
        """Each port's statistics; None where the kernel does not answer in time, or not for us."""
        with self._turn:
            try:
                return self._call_guard.call("ethtool", partial(self._all, netdevs))
            except (OSError, CallTimedOut):
                return None

    def _all(self, netdevs: Mapping[Port, str]) -> Statistics:
        return {port: self._of(netdev) for port, netdev in netdevs.items()}

    def _of(self, netdev: str) -> dict[str, int]:
        try:
            return self._ethtool.read(netdev)
        except OSError as error:
            if error.errno not in _NOTHING:
                raise
            return {}


def part(root: SysfsRoot, latest: Callable[[], Observation | None]) -> Part:
    """The part of the page that is pause of RoCE ports; a recorded machine has none."""
    statistics = PauseStatistics()

    def now() -> Iterator[Family]:
        observation = latest()
        ports = netdevs(observation.topology) if observation and root.live else {}
        if ports:
            yield from pause_metrics.families(statistics.read(ports))

    return now


def netdevs(node: NodeTopology) -> dict[Port, str]:
    """RoCE port → network device: of a function with several the first, which in switchdev mode is the uplink."""
    return {
        (nic.name, str(port.number)): nic.netdevs[0]
        for nic in node.nics
        for port in nic.ports
        if port.link_layer == "Ethernet" and nic.netdevs
    }
