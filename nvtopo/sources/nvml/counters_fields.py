"""NVML's counter fields by meaning. The fields that a GPU answers decide which are read, not its generation.

Runs in the counters worker: nothing but pynvml and the standard library. Reserved and deprecated fields are left out,
as are those that sum up others.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from nvtopo.sources.nvml.asker import ABSENT, LOST, NO_SUCH_FIELD, Lost
from nvtopo.sources.nvml.binding import pynvml
from nvtopo.sources.nvml.field_values import Key, decode


class Family(NamedTuple):
    """Two counters of a link, and the bytes that one of them counts."""

    sent: int
    received: int
    unit_bytes: int


_KIBIBYTE: Final = 1024
#: In order of preference: bytes (Blackwell and newer), KiB of data, KiB with what the protocol adds (Hopper, older).
TRAFFIC: Final = (
    Family(pynvml.NVML_FI_DEV_NVLINK_COUNT_XMIT_BYTES, pynvml.NVML_FI_DEV_NVLINK_COUNT_RCV_BYTES, 1),
    Family(pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, _KIBIBYTE),
    Family(pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_RAW_TX, pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_RAW_RX, _KIBIBYTE),
)
ERRORS: Final = {
    pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY: "replay",
    pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_RECOVERY: "recovery",
    pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_CRC: "crc",
    pynvml.NVML_FI_DEV_NVLINK_COUNT_MALFORMED_PACKET_ERRORS: "malformed_packet",
    pynvml.NVML_FI_DEV_NVLINK_COUNT_BUFFER_OVERRUN_ERRORS: "buffer_overrun",
    pynvml.NVML_FI_DEV_NVLINK_COUNT_RCV_ERRORS: "receive",
    pynvml.NVML_FI_DEV_NVLINK_COUNT_RCV_REMOTE_ERRORS: "receive_remote",
    pynvml.NVML_FI_DEV_NVLINK_COUNT_RCV_GENERAL_ERRORS: "receive_general",
    pynvml.NVML_FI_DEV_NVLINK_COUNT_LOCAL_LINK_INTEGRITY_ERRORS: "local_link_integrity",
    pynvml.NVML_FI_DEV_NVLINK_COUNT_XMIT_DISCARDS: "transmit_discard",
    pynvml.NVML_FI_DEV_NVLINK_COUNT_EFFECTIVE_ERRORS: "effective",
    pynvml.NVML_FI_DEV_NVLINK_COUNT_SYMBOL_ERRORS: "symbol",
}
RECOVERIES: Final = {
    pynvml.NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_SUCCESSFUL_EVENTS: "successful",
    pynvml.NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_FAILED_EVENTS: "failed",
}
BIT_ERROR_RATIOS: Final = {
    pynvml.NVML_FI_DEV_NVLINK_COUNT_EFFECTIVE_BER: "effective",
    pynvml.NVML_FI_DEV_NVLINK_COUNT_SYMBOL_BER: "symbol",
}
#: NVML_FI_DEV_C2C_LINK_ERROR_INTR, _REPLAY and _REPLAY_B2B: the oldest pynvml of setup.cfg has no names for them.
C2C_ERRORS: Final = {231: "interrupt", 232: "replay", 233: "replay_back_to_back"}
LINK_COUNT: Final = pynvml.NVML_FI_DEV_NVLINK_LINK_COUNT
SPEED: Final = pynvml.NVML_FI_DEV_NVLINK_GET_SPEED
C2C_COUNT: Final = pynvml.NVML_FI_DEV_C2C_LINK_COUNT
C2C_STATUS: Final = pynvml.NVML_FI_DEV_C2C_LINK_GET_STATUS
PCIE_SENT: Final = pynvml.NVML_FI_DEV_PCIE_COUNT_TX_BYTES
PCIE_RECEIVED: Final = pynvml.NVML_FI_DEV_PCIE_COUNT_RX_BYTES
PCIE_REPLAYS: Final = pynvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER
ENERGY_MILLIJOULES: Final = pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION

MEGABYTE: Final = 1_000_000
_BER_EXPONENT, _BER_MANTISSA = 0xFF, 0xF00


class FieldValues(NamedTuple):
    """The answers of one batch, the fields that this GPU or driver does not know, and what failed."""

    values: dict[Key, int]
    absent: frozenset[Key] = frozenset()
    failed: tuple[str, ...] = ()
    """One for each field and code: ``field 164: Unknown Error``."""


def ask(handle: Any, asked: list[Key]) -> FieldValues:
    """All of ``asked`` in one call of the driver. Raises Lost, and NVMLError where the whole call fails."""
    if not asked:
        return FieldValues({})
    try:
        batch = pynvml.nvmlDeviceGetFieldValues(handle, asked)
    except pynvml.NVMLError as error:
        if error.value in LOST:
            raise Lost(str(error)) from error
        if error.value not in ABSENT:
            raise
        return FieldValues({}, frozenset(asked))
    values: dict[Key, int] = {}
    absent = []
    failed: dict[tuple[int, int], None] = {}
    for key, code, value in decode(batch):
        if value is not None:
            values[key] = value
        elif code in LOST:
            raise Lost(f"field {key[0]}: {pynvml.NVMLError(code)}")
        elif code in ABSENT:
            absent.append(key)
        elif code not in NO_SUCH_FIELD:
            failed[key[0], code] = None
    return FieldValues(
        values, frozenset(absent), tuple(f"field {field}: {pynvml.NVMLError(code)}" for field, code in failed)
    )


def of_links(fields: Iterable[int], links: int) -> list[Key]:
    """Each field for each link."""
    return [(field, link) for field in fields for link in range(links)]


def bit_error_ratio(packed: int | None) -> float | None:
    """Mantissa by 10^-exponent, as NVML_NVLINK_ERROR_COUNTER_BER_GET takes it apart."""
    if packed is None:
        return None
    return float(f"{(packed & _BER_MANTISSA) >> 8}e-{packed & _BER_EXPONENT}")
