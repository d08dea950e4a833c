"""What RDMA ports count, on the metrics page: names as node_exporter's infiniband collector has them, where it does.

At most 70 series a port, and then it would be every vendor's at once: a ConnectX with RoCE has 38.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from nvtopo.model.rdma_counters import MEANINGS, DeviceReading, counted
from nvtopo.sinks.metrics.series import Family, Series, counter

PORT: Final = ("device", "port")
"""As node_exporter labels a port."""
_ABSENT: Final = "the driver has no such counter, it stands at its end, or the device does not answer"


def _counted(family: str, name: str, words: str, *more: str) -> tuple[str, Series]:
    files = (file for file, meaning in MEANINGS.items() if meaning.family == family)
    return family, counter(f"nvtopo_rdma_{name}_total", words, (*PORT, *more), source=", ".join(files), absent=_ABSENT)


_FAMILIES: Final = dict(
    (
        _counted("link_downed", "link_downed", "Times that the link went down."),
        _counted("link_error_recovery", "link_error_recovery", "Times that the link recovered by itself."),
        _counted("symbol_error", "symbol_error", "Minor errors on the lanes."),
        _counted(
            "retransmissions",
            "retransmissions",
            "Times that this side had to send again, by what told it: no acknowledgement in time, or a refusal.",
            "cause",
        ),
        _counted("adaptive_retransmissions", "adaptive_retransmissions", "Those decided by RoCE's adaptive timer."),
        _counted("retransmitted_packets", "retransmitted_packets", "Packets sent again."),
        _counted("retransmitted_bytes", "retransmitted_bytes", "Bytes sent again."),
        _counted(
            "retries_exceeded", "retries_exceeded", "Times that this side gave up, and lost a connection.", "cause"
        ),
        _counted("slow_restarts", "slow_restarts", "Times that RoCE began slowly again."),
        _counted("out_of_sequence", "out_of_sequence_packets_received", "Packets that came before one they follow."),
        _counted("duplicate_requests", "duplicate_requests_packets", "Requests that had been served already."),
        _counted("out_of_buffer", "out_of_buffer_drops", "Packets dropped since no receive buffer was posted."),
        _counted("cnp_sent", "cnp_packets_sent", "Congestion notifications that this side sent."),
        _counted("cnp_handled", "cnp_packets_handled", "Congestion notifications that slowed this side down."),
        _counted("cnp_ignored", "cnp_packets_ignored", "Congestion notifications that did not."),
        _counted("ecn_marked", "ecn_marked_packets_received", "RoCE packets that a switch had marked as congested."),
        _counted("transmit_wait", "port_transmit_wait", "Ticks in which there was data to send and no credit for it."),
        _counted("discards_transmitted", "port_discards_transmitted", "Packets dropped on their way out."),
        _counted("discards_received", "port_discards_received", "Packets dropped on their way in."),
        _counted("errors", "errors", "Errors by kind; kinds overlap.", "error"),
        _counted("data_transmitted", "port_data_transmitted_bytes", "Sent by the port."),
        _counted("data_received", "port_data_received_bytes", "Received by the port."),
        _counted("packets_transmitted", "port_packets_transmitted", "Sent by the port."),
        _counted("packets_received", "port_packets_received", "Received by the port."),
    )
)
SERIES: Final = tuple(_FAMILIES.values())


def families(devices: Sequence[DeviceReading]) -> Iterator[Family]:
    """What these devices count."""
    made = {family: Family(series) for family, series in _FAMILIES.items()}
    for device in devices:
        for port in device.ports:
            for (family, kind), value in counted(port.counters).values.items():
                made[family].add(value, device.name, str(port.number), *([kind] if kind else []))
    yield from made.values()
