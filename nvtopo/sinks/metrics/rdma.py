"""RDMA ports on the metrics page: state, rate, MTU and GID. Ten series a port and three a device."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from nvtopo.model.conclusions.roce import roce_mtu
from nvtopo.model.records.node import Nic, NicPort, NodeTopology
from nvtopo.model.samples.rdma_counters import PHYSICAL_STATES, STATES, DeviceReading, PortReading, counted, number
from nvtopo.sinks.metrics import rdma_counters
from nvtopo.sinks.metrics.rdma_counters import PORT
from nvtopo.sinks.metrics.series import Family, counter, declared, gauge, one

_GONE: Final = "the device does not answer"
_FILES: Final = "/sys/class/infiniband/<device>/ports/<port>/"

#: Why series of a device are missing.
REASONS: Final = ("hang", "unreadable", "saturated")

ACTIVE = gauge(
    "nvtopo_rdma_port_active",
    "1 if the state of the RDMA port is ACTIVE, 0 if not.",
    PORT,
    source=f"{_FILES}state",
    absent=_GONE,
)
STATE = gauge(
    "nvtopo_rdma_port_state_id",
    "State of the RDMA port: 0 NOP, 1 DOWN, 2 INIT, 3 ARMED, 4 ACTIVE, 5 ACTIVE_DEFER.",
    PORT,
    source=f"{_FILES}state",
    absent=_GONE,
)
PHYSICAL_STATE = gauge(
    "nvtopo_rdma_port_physical_state_id",
    "Physical state of the RDMA port: 1 Sleep, 2 Polling, 3 Disabled, 4 PortConfigurationTraining, 5 LinkUp, "
    "6 LinkErrorRecovery, 7 Phy Test.",
    PORT,
    source=f"{_FILES}phys_state",
    absent=_GONE,
)
RATE = gauge(
    "nvtopo_rdma_port_rate_bytes_per_second",
    "Negotiated rate of the RDMA port in one direction, in bytes per second. Meaningless while the port is down.",
    PORT,
    source=f"{_FILES}rate",
    absent=_GONE,
)
CARRIER_DOWN = counter(
    "nvtopo_rdma_port_carrier_down_total",
    "Number of times that the network device of a RoCE port lost its carrier.",
    PORT,
    source="/sys/class/net/<netdev>/carrier_down_count",
    absent="the port is InfiniBand, its network device is in another network namespace, or the device does not answer",
)
ACTIVE_MTU = gauge(
    "nvtopo_rdma_port_active_mtu_bytes",
    "Active MTU of the RDMA port, in bytes: the largest payload of one of its packets.",
    PORT,
    source="ibv_query_port, at the last reading of the machine",
    absent="the agent was not given the device file, or the device does not answer",
)
NETDEV_MTU = gauge(
    "nvtopo_rdma_port_netdev_mtu_bytes",
    "MTU of the network device of a RoCE port, in bytes.",
    PORT,
    source="/sys/class/net/<netdev>/mtu, at the last reading of the machine",
    absent="the port is InfiniBand, or the device does not answer",
)
MTU_MISMATCH = gauge(
    "nvtopo_rdma_port_mtu_mismatch",
    "1 if a RoCE port sends smaller packets than its network device allows, 0 if not.",
    PORT,
    source="the two MTUs, by the kernel's iboe_get_mtu",
    absent="one of the two MTUs is not known, or the port is InfiniBand",
)
GID_INDEX = gauge(
    "nvtopo_rdma_port_gid_index",
    "Index of the GID that NCCL chooses on this port by default.",
    PORT,
    source=f"{_FILES}gids, gid_attrs/types, at the last reading of the machine",
    absent="the port has no routable GID, is neither InfiniBand nor Ethernet, or the device does not answer",
)
GID_USABLE = gauge(
    "nvtopo_rdma_port_gid_usable",
    "1 if the port has a GID that NCCL would choose, 0 if not.",
    PORT,
    source=f"{_FILES}gids, gid_attrs/types, at the last reading of the machine",
    absent="the port is neither InfiniBand nor Ethernet, or the device does not answer",
)
PROBLEM = gauge(
    "nvtopo_rdma_problem",
    "1 if series of the device are missing for this reason: it hangs, a file is unreadable, or a counter is saturated.",
    ("device", "reason"),
    source="the reading of the files",
    absent="the device is gone",
)
DURATION = gauge(
    "nvtopo_rdma_read_duration_seconds",
    "How long this scrape took to read all RDMA ports, in seconds.",
    source="the clock",
    absent="there is no RDMA device",
)
SERIES = declared(globals())


class Read(NamedTuple):
    """All devices at one scrape."""

    devices: Sequence[DeviceReading] = ()
    """Those that answered."""
    hanging: Collection[str] = ()
    """Names of those that did not answer in time."""
    seconds: float | None = None


def families(read: Read, node: NodeTopology) -> Iterator[Family]:
    """The ports that answered, with their facts from the last reading of the machine."""
    yield from _states(read.devices)
    yield from _facts(read.devices, {nic.name: nic for nic in node.nics})
    yield from rdma_counters.families(read.devices)
    yield _problems(read)
    yield one(DURATION, read.seconds)


def remembered(node: NodeTopology) -> Read:
    """The ports from the last reading of the machine, for a page outside the agent."""
    return Read(
        tuple(
            DeviceReading(
                name=nic.name,
                ports=tuple(
                    PortReading(number=port.number, state=port.state, rate_bytes_per_second=port.rate_bytes_per_second)
                    for port in nic.ports
                ),
            )
            for nic in node.nics
        )
    )


def _states(devices: Sequence[DeviceReading]) -> Iterator[Family]:
    active, state, physical, rate = Family(ACTIVE), Family(STATE), Family(PHYSICAL_STATE), Family(RATE)
    carrier_down = Family(CARRIER_DOWN)
    for device in devices:
        for port in device.ports:
            labels = device.name, str(port.number)
            active.add(int(port.state == "ACTIVE"), *labels)
            state.add(number(STATES, port.state), *labels)
            physical.add(number(PHYSICAL_STATES, port.physical_state), *labels)
            rate.add(port.rate_bytes_per_second, *labels)
            carrier_down.add(port.carrier_down, *labels)
    yield from (active, state, physical, rate, carrier_down)


def _facts(devices: Sequence[DeviceReading], nics: Mapping[str, Nic]) -> Iterator[Family]:
    active, netdev, mismatch = Family(ACTIVE_MTU), Family(NETDEV_MTU), Family(MTU_MISMATCH)
    index, usable = Family(GID_INDEX), Family(GID_USABLE)
    for device in devices:
        nic = nics.get(device.name)
        known = {port.number: port for port in nic.ports} if nic else {}
        for port in device.ports:
            labels, facts = (device.name, str(port.number)), known.get(port.number)
            if nic is None or facts is None:
                continue
            active.add(facts.active_mtu_bytes, *labels)
            if facts.link_layer == "Ethernet":
                netdev.add(nic.mtu_bytes, *labels)
                mismatch.add(_mismatch(nic, facts), *labels)
            index.add(facts.gid_index, *labels)
            if facts.link_layer:
                usable.add(int(facts.gid_index is not None), *labels)
    yield from (active, netdev, mismatch, index, usable)


def _mismatch(nic: Nic, port: NicPort) -> int | None:
    if nic.mtu_bytes is None or port.active_mtu_bytes is None:
        return None
    return int(port.active_mtu_bytes < (roce_mtu(nic.mtu_bytes) or 0))


def _problems(read: Read) -> Family:
    family = Family(PROBLEM)
    for device in read.devices:
        saturated = any(counted(port.counters).saturated for port in device.ports)
        for reason, holds in zip(REASONS, (False, device.unreadable, saturated), strict=True):
            family.add(int(holds), device.name, reason)
    for name in read.hanging:
        for reason in REASONS:
            family.add(int(reason == "hang"), name, reason)
    return family
