"""NVML's field values (``nvmlFieldValue_t``), decoded in one place for all workers.

Runs in the workers: pynvml and the standard library only, since their start is part of every dump.
"""

import struct
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from nvtopo.sources.nvml.binding import pynvml

Key = tuple[int, int]
"""Field and scope; a link's number, or 0 where the field is of the device."""

#: Field, scope, timestamp, latency, type, return code, and the union of values as its eight bytes.
_LAYOUT: Final = struct.Struct("=IIqqIi8s")
#: The member of the union that each type names, by type; the bytes beyond that member mean nothing.
_MEMBERS: Final = {
    pynvml.NVML_VALUE_TYPE_DOUBLE: struct.Struct("=d"),
    pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: struct.Struct("=I"),
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: struct.Struct("=Q"),
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: struct.Struct("=Q"),
    pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: struct.Struct("=q"),
    pynvml.NVML_VALUE_TYPE_SIGNED_INT: struct.Struct("=i"),
    pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT: struct.Struct("=H"),
}
#: Fields that may be negative: the margins at which a GPU slows down or shuts down (T.Limit).
_SIGNED: Final = frozenset(
    {
        pynvml.NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT,
        pynvml.NVML_FI_DEV_TEMPERATURE_SLOWDOWN_TLIMIT,
        pynvml.NVML_FI_DEV_TEMPERATURE_MEM_MAX_TLIMIT,
        pynvml.NVML_FI_DEV_TEMPERATURE_GPU_MAX_TLIMIT,
    }
)
_SIGNED_INT: Final = struct.Struct("=i")
#: NVML_VALUE_NOT_AVAILABLE is -1, also where the member has no sign.
_NOT_AVAILABLE: Final = frozenset({-1, 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF})


class FieldValue(NamedTuple):
    """One answer of a batch."""

    key: Key
    code: int
    """NVML's return code."""
    value: int | None
    """None if the code is an error, or the driver reports that there is no value."""


def decode(batch: Any) -> Iterator[FieldValue]:
    """Each answer of an array of ``nvmlFieldValue_t``."""
    for field, scope, _, _, kind, code, union in _LAYOUT.iter_unpack(bytes(batch)):
        value = None
        if code == pynvml.NVML_SUCCESS:
            value = _signed(union) if field in _SIGNED else _value(kind, union)
        yield FieldValue((field, scope), code, value)


def _signed(union: bytes) -> int | None:
    """A signed int, whatever type the driver names; None for -1, by which drivers say that there is no value."""
    (value,) = _SIGNED_INT.unpack_from(union)
    return None if value in _NOT_AVAILABLE else int(value)


def _value(kind: int, union: bytes) -> int | None:
    """The value; None if it is negative, since these fields are counts, states or numbers of things."""
    member = _MEMBERS.get(kind)
    if member is None:
        return None
    (value,) = member.unpack_from(union)
    return int(value) if 0 <= value < float("inf") and value not in _NOT_AVAILABLE else None
