"""What the counter files of an RDMA port count, whichever driver named them.

``counters/`` are InfiniBand's own (PortCounters, IBTA 16.1.3.5): many are narrow and stay at their largest value, where
they no longer count. ``hw_counters/`` are the driver's, mostly as wide as the hardware has them; some wrap.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from nvtopo.model.records.record import Bytes, Count, Name, Record

#: ``enum ib_port_state`` and ``enum ib_port_phys_state``: the kernel's words, at their numbers.
STATES: Final = ("NOP", "DOWN", "INIT", "ARMED", "ACTIVE", "ACTIVE_DEFER")
PHYSICAL_STATES: Final = (
    "<unknown>",
    "Sleep",
    "Polling",
    "Disabled",
    "PortConfigurationTraining",
    "LinkUp",
    "LinkErrorRecovery",
    "Phy Test",
)


class Meaning(NamedTuple):
    """What one file counts."""

    family: str
    kind: str = ""
    """The sort of it, where a family has several."""
    unit: int = 1
    """What one count stands for."""
    ceiling: int | None = None
    """Where the counter stops instead of starting anew."""


class PortReading(Record, frozen=True, kw_only=True):
    """One port at one moment, as its files say."""

    number: Count
    state: str = ""
    """As ``facts.RdmaPort``."""
    physical_state: str = ""
    rate_bytes_per_second: Bytes | None = None
    counters: dict[str, int] = {}
    """``counters/<name>`` or ``hw_counters/<name>`` → its number; without those that did not answer."""
    carrier_down: int | None = None
    """``carrier_down_count`` of the network device that the first GID is of: what an Ethernet link's flaps show in."""


class DeviceReading(Record, frozen=True, kw_only=True):
    """One device's ports at one moment."""

    name: Name
    ports: tuple[PortReading, ...] = ()
    unreadable: bool = False
    """A counter that is there could not be read."""


class Counted(NamedTuple):
    """A port's counters by what they count."""

    values: Mapping[tuple[str, str], int]
    """Family and kind → count, in the family's unit."""
    saturated: tuple[str, ...]
    """Files whose counter has reached its end: it no longer counts, so it has no value."""


_4, _8, _16, _32 = (2**bits - 1 for bits in (4, 8, 16, 32))
#: A word of port_xmit_data and port_rcv_data, whichever the link's width.
_WORD: Final = 4

_INFINIBAND: Final = {
    "link_downed": Meaning("link_downed", ceiling=_8),
    "link_error_recovery": Meaning("link_error_recovery", ceiling=_8),
    "symbol_error": Meaning("symbol_error", ceiling=_16),
    "port_xmit_discards": Meaning("discards_transmitted", ceiling=_16),
    "port_xmit_wait": Meaning("transmit_wait", ceiling=_32),
    "port_xmit_data": Meaning("data_transmitted", unit=_WORD, ceiling=_32),
    "port_rcv_data": Meaning("data_received", unit=_WORD, ceiling=_32),
    "port_xmit_packets": Meaning("packets_transmitted", ceiling=_32),
    "port_rcv_packets": Meaning("packets_received", ceiling=_32),
    "port_rcv_errors": Meaning("errors", "received", ceiling=_16),
    "port_rcv_remote_physical_errors": Meaning("errors", "received_remote_physical", ceiling=_16),
    "port_rcv_switch_relay_errors": Meaning("errors", "received_switch_relay", ceiling=_16),
    "port_rcv_constraint_errors": Meaning("errors", "received_constraint", ceiling=_8),
    "port_xmit_constraint_errors": Meaning("errors", "transmitted_constraint", ceiling=_8),
    "local_link_integrity_errors": Meaning("errors", "local_link_integrity", ceiling=_4),
    "excessive_buffer_overrun_errors": Meaning("errors", "excessive_buffer_overrun", ceiling=_4),
    "VL15_dropped": Meaning("errors", "vl15_dropped", ceiling=_16),
}
_MLX5: Final = {
    "local_ack_timeout_err": Meaning("retransmissions", "timeout"),
    "packet_seq_err": Meaning("retransmissions", "sequence_nak"),
    "implied_nak_seq_err": Meaning("retransmissions", "implied_nak"),
    "rnr_nak_retry_err": Meaning("retransmissions", "receiver_not_ready_nak"),
    "roce_adp_retrans": Meaning("adaptive_retransmissions"),
    "roce_slow_restart": Meaning("slow_restarts"),
    "req_transport_retries_exceeded": Meaning("retries_exceeded", "transport"),
    "req_rnr_retries_exceeded": Meaning("retries_exceeded", "receiver_not_ready"),
    "out_of_sequence": Meaning("out_of_sequence"),
    "duplicate_request": Meaning("duplicate_requests"),
    "out_of_buffer": Meaning("out_of_buffer"),
    "np_cnp_sent": Meaning("cnp_sent"),
    "rp_cnp_handled": Meaning("cnp_handled"),
    "rp_cnp_ignored": Meaning("cnp_ignored"),
    "np_ecn_marked_roce_packets": Meaning("ecn_marked"),
    "req_cqe_error": Meaning("errors", "requester_completion"),
    "resp_cqe_error": Meaning("errors", "responder_completion"),
    "req_remote_invalid_request": Meaning("errors", "requester_remote_invalid_request"),
    "req_remote_access_errors": Meaning("errors", "requester_remote_access"),
    "resp_remote_access_errors": Meaning("errors", "responder_remote_access"),
    "resp_local_length_error": Meaning("errors", "responder_local_length"),
    "rx_icrc_encapsulated": Meaning("errors", "received_icrc"),
}
#: Older names; newer drivers have mlx5's for many of them.
_BNXT_RE: Final = {
    "to_retransmits": Meaning("retransmissions", "timeout"),
    "seq_err_naks_rcvd": Meaning("retransmissions", "sequence_nak"),
    "rnr_naks_rcvd": Meaning("retransmissions", "receiver_not_ready_nak"),
    "max_retry_exceeded": Meaning("retries_exceeded", "transport"),
    "oos_drop_count": Meaning("out_of_sequence"),
    "dup_req": Meaning("duplicate_requests"),
    "rx_out_of_buffer": Meaning("out_of_buffer"),
    "rx_roce_discards": Meaning("discards_received"),
    "tx_cnp_pkts": Meaning("cnp_sent"),
    "np_cnp_pkts": Meaning("cnp_sent"),
    "rx_cnp_pkts": Meaning("cnp_handled"),
    "rx_ecn_marked_pkts": Meaning("ecn_marked"),
    "rx_roce_errors": Meaning("errors", "received"),
    "unrecoverable_err": Meaning("errors", "unrecoverable"),
    "remote_invalid_req_err": Meaning("errors", "requester_remote_invalid_request"),
    "remote_access_err": Meaning("errors", "requester_remote_access"),
    "tx_bytes": Meaning("data_transmitted"),
    "rx_bytes": Meaning("data_received"),
    "tx_pkts": Meaning("packets_transmitted"),
    "rx_pkts": Meaning("packets_received"),
}
_EFA: Final = {
    "retrans_timeout_events": Meaning("retransmissions", "timeout"),
    "retrans_pkts": Meaning("retransmitted_packets"),
    "retrans_bytes": Meaning("retransmitted_bytes"),
    "rx_drops": Meaning("discards_received"),
    "rdma_read_wr_err": Meaning("errors", "rdma_read"),
    "rdma_write_wr_err": Meaning("errors", "rdma_write"),
    "unresponsive_remote_events": Meaning("errors", "remote_unresponsive"),
    "impaired_remote_conn_events": Meaning("errors", "remote_connection_impaired"),
}
#: Names with blanks are those of its third generation.
_IRDMA: Final = {
    "tcpRetransSegs": Meaning("retransmitted_packets"),
    "RetransSegs": Meaning("retransmitted_packets"),
    "Nak Sequence Error": Meaning("retransmissions", "sequence_nak"),
    "RNR received": Meaning("retransmissions", "receiver_not_ready_nak"),
    "cnpSent": Meaning("cnp_sent"),
    "cnpHandled": Meaning("cnp_handled"),
    "cnpIgnored": Meaning("cnp_ignored"),
    "RxECNMrkd": Meaning("ecn_marked"),
}
_RXE: Final = {
    "rcvd_seq_err": Meaning("retransmissions", "sequence_nak"),
    "rcvd_rnr_err": Meaning("retransmissions", "receiver_not_ready_nak"),
    "retry_exceeded_err": Meaning("retries_exceeded", "transport"),
    "retry_rnr_exceeded_err": Meaning("retries_exceeded", "receiver_not_ready"),
    "out_of_seq_request": Meaning("out_of_sequence"),
    "link_downed": Meaning("link_downed"),
    "send_err": Meaning("errors", "send"),
    "sent_pkts": Meaning("packets_transmitted"),
    "rcvd_pkts": Meaning("packets_received"),
}

#: File below ``ports/<n>`` → what it counts. A name never means two things to two drivers.
MEANINGS: Final[Mapping[str, Meaning]] = {
    **{f"counters/{name}": meaning for name, meaning in _INFINIBAND.items()},
    **{f"hw_counters/{name}": meaning for name, meaning in (_MLX5 | _BNXT_RE | _EFA | _IRDMA | _RXE).items()},
}
#: What node_exporter's infiniband collector has as well.
TRAFFIC: Final = frozenset({"data_transmitted", "data_received", "packets_transmitted", "packets_received"})


def watched(*, traffic: bool) -> frozenset[str]:
    """The files to read, with those that count traffic or without."""
    return frozenset(file for file, meaning in MEANINGS.items() if traffic or meaning.family not in TRAFFIC)


def kinds(family: str) -> tuple[str, ...]:
    """The sorts that a family may have."""
    return tuple(dict.fromkeys(meaning.kind for meaning in MEANINGS.values() if meaning.family == family))


def counted(counters: Mapping[str, int]) -> Counted:
    """A port's files by what they count. Where two count the same, InfiniBand's own goes before the driver's."""
    values: dict[tuple[str, str], int] = {}
    saturated = []
    for file in sorted(counters):
        meaning, count = MEANINGS[file], counters[file]
        if count == meaning.ceiling:
            saturated.append(file)
        else:
            values.setdefault((meaning.family, meaning.kind), count * meaning.unit)
    return Counted(values, tuple(saturated))


def number(words: Iterable[str], word: str) -> int | None:
    """The kernel's number for one of its words; None for a word it did not have when this was written."""
    return next((index for index, known in enumerate(words) if known == word), None)
