"""Counters of RDMA ports on the metrics page, named as in node_exporter's infiniband collector where it has them.

At most 70 series for each port, if one driver had every vendor's counters; a ConnectX with RoCE has 38.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from nvtopo.model.samples.rdma_counters import MEANINGS, DeviceReading, counted
from nvtopo.sinks.metrics.series import Family, Series, counter

PORT: Final = ("device", "port")
"""As node_exporter labels a port."""
_ABSENT: Final = "the driver has no such counter, the counter is saturated, or the device does not answer"


def _counted(family: str, name: str, words: str, *more: str) -> tuple[str, Series]:
    files = (file for file, meaning in MEANINGS.items() if meaning.family == family)
    return family, counter(f"nvtopo_rdma_{name}_total", words, (*PORT, *more), source=", ".join(files), absent=_ABSENT)


_FAMILIES: Final = dict(
    (
        _counted("link_downed", "link_downed", "Number of times that the link went down."),
        _counted(
            "link_error_recovery",
            "link_error_recovery",
            "Number of times that the link recovered from an error by itself.",
        ),
        _counted("symbol_error", "symbol_error", "Number of minor link errors (symbol errors) on the port's lanes."),
        _counted(
            "retransmissions",
            "retransmissions",
            "Number of times that the port had to retransmit, by cause: a timeout or a kind of NAK.",
            "cause",
        ),
        _counted(
            "adaptive_retransmissions",
            "adaptive_retransmissions",
            "Number of retransmissions that RoCE's adaptive timer triggered.",
        ),
        _counted(
            "retransmitted_packets", "retransmitted_packets", "Number of packets that the RDMA port retransmitted."
        ),
        _counted("retransmitted_bytes", "retransmitted_bytes", "Bytes that the RDMA port retransmitted."),
        _counted(
            "retries_exceeded",
            "retries_exceeded",
            "Number of times that the port ran out of retries and lost a connection, by cause.",
            "cause",
        ),
        _counted("slow_restarts", "slow_restarts", "Number of times that RoCE restarted slowly after a loss."),
        _counted(
            "out_of_sequence", "out_of_sequence_packets_received", "Number of packets that arrived out of sequence."
        ),
        _counted(
            "duplicate_requests",
            "duplicate_requests_packets",
            "Number of requests received again that the port had already served.",
        ),
        _counted(
            "out_of_buffer", "out_of_buffer_drops", "Number of packets dropped because no receive buffer was posted."
        ),
        _counted("cnp_sent", "cnp_packets_sent", "Number of congestion notification packets that the port sent."),
        _counted(
            "cnp_handled",
            "cnp_packets_handled",
            "Number of received congestion notification packets that slowed the port down.",
        ),
        _counted(
            "cnp_ignored",
            "cnp_packets_ignored",
            "Number of received congestion notification packets that the port ignored.",
        ),
        _counted(
            "ecn_marked",
            "ecn_marked_packets_received",
            "Number of received RoCE packets that a switch had marked as congested (ECN).",
        ),
        _counted(
            "transmit_wait",
            "port_transmit_wait",
            "Number of ticks in which the port had data to send and no credits to send it.",
        ),
        _counted(
            "discards_transmitted",
            "port_discards_transmitted",
            "Number of packets that the port dropped while sending.",
        ),
        _counted(
            "discards_received", "port_discards_received", "Number of packets that the port dropped while receiving."
        ),
        _counted("errors", "errors", "Number of errors, by kind. One error may count in several kinds.", "error"),
        _counted("data_transmitted", "port_data_transmitted_bytes", "Bytes that the RDMA port sent."),
        _counted("data_received", "port_data_received_bytes", "Bytes that the RDMA port received."),
        _counted("packets_transmitted", "port_packets_transmitted", "Number of packets that the RDMA port sent."),
        _counted("packets_received", "port_packets_received", "Number of packets that the RDMA port received."),
    )
)
SERIES: Final = tuple(_FAMILIES.values())


def families(devices: Sequence[DeviceReading]) -> Iterator[Family]:
    """The counter families of these devices."""
    made = {family: Family(series) for family, series in _FAMILIES.items()}
    for device in devices:
        for port in device.ports:
            for (family, kind), value in counted(port.counters).values.items():
                made[family].add(value, device.name, str(port.number), *([kind] if kind else []))
    yield from made.values()
