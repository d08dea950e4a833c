"""NVML's counter fields by what they mean: which family a GPU answers decides, not its generation's name.

Runs in the counters worker: nothing but pynvml and the standard library. Reserved and deprecated fields are left out,
as are those that sum up others (215).
"""

import struct
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import pynvml

from nvtopo.sources.nvml_asker import ABSENT, LOST, Lost

Key = tuple[int, int]
"""Field and scope; a link's number, or 0 where the field is of the device."""


class Family(NamedTuple):
    """Two counters of a link, and the bytes that one of them counts."""

    sent: int
    received: int
    unit_bytes: int


#: In order of preference: bytes (Blackwell and newer), KiB of data, KiB with what the protocol adds (Hopper, older).
TRAFFIC: Final = (Family(202, 204, 1), Family(138, 139, 1024), Family(140, 141, 1024))
ERRORS: Final = {
    161: "replay",
    162: "recovery",
    163: "crc",
    206: "malformed_packet",
    207: "buffer_overrun",
    208: "receive",
    209: "receive_remote",
    210: "receive_general",
    211: "local_link_integrity",
    212: "transmit_discard",
    219: "effective",
    221: "symbol",
}
RECOVERIES: Final = {213: "successful", 214: "failed"}
BIT_ERROR_RATIOS: Final = {220: "effective", 222: "symbol"}
C2C_ERRORS: Final = {231: "interrupt", 232: "replay", 233: "replay_back_to_back"}
LINK_COUNT, SPEED, C2C_COUNT, C2C_STATUS = 91, 164, 170, 171
PCIE_SENT, PCIE_RECEIVED, PCIE_REPLAYS, ENERGY_MILLIJOULES = 197, 198, 94, 83

MEGABYTE: Final = 1_000_000
_BER_EXPONENT, _BER_MANTISSA = 0xFF, 0xF00

#: nvmlFieldValue_t: field, scope, timestamp, latency, type, return code, value.
_LAYOUT: Final = struct.Struct("=IIqqIiQ")
_DOUBLE, _UNSIGNED, _SIGNED, _SHORT = 0, 1, 5, 6
_WIDTHS: Final = {_UNSIGNED: 0xFFFFFFFF, _SIGNED: 0xFFFFFFFF, _SHORT: 0xFFFF}


class Answers(NamedTuple):
    """One batch: what answered, and what this GPU or driver does not know."""

    values: dict[Key, int]
    absent: frozenset[Key]


def ask(handle: Any, asked: list[Key]) -> Answers:
    """All of ``asked`` in one call of the driver. Raises Lost, and NVMLError where the whole call fails."""
    if not asked:
        return Answers({}, frozenset())
    try:
        batch = bytes(pynvml.nvmlDeviceGetFieldValues(handle, asked))
    except pynvml.NVMLError as error:
        if error.value in LOST:
            raise Lost(str(error)) from error
        if error.value not in ABSENT:
            raise
        return Answers({}, frozenset(asked))
    values: dict[Key, int] = {}
    absent = []
    for field, scope, _, _, kind, code, raw in _LAYOUT.iter_unpack(batch):
        if code == pynvml.NVML_SUCCESS:
            values[field, scope] = _value(kind, raw)
        elif code in LOST:
            raise Lost(f"field {field}: {pynvml.NVMLError(code)}")
        elif code in ABSENT:
            absent.append((field, scope))
    return Answers(values, frozenset(absent))


def _value(kind: int, raw: int) -> int:
    """From the member of the union that the type names; the bytes beyond that member mean nothing."""
    if kind == _DOUBLE:
        return int(struct.unpack("=d", raw.to_bytes(8, "little"))[0])
    return raw & _WIDTHS[kind] if kind in _WIDTHS else raw


def of_links(fields: Iterable[int], links: int) -> list[Key]:
    """Each field for each link."""
    return [(field, link) for field in fields for link in range(links)]


def bit_error_ratio(packed: int | None) -> float | None:
    """Mantissa by 10^-exponent, as NVML_NVLINK_ERROR_COUNTER_BER_GET takes it apart."""
    if packed is None:
        return None
    return float(f"{(packed & _BER_MANTISSA) >> 8}e-{packed & _BER_EXPONENT}")
