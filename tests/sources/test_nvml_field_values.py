"""NVML's value union as bytes: each type reads its own member, and "not available" is no number."""

import math
import struct

import pynvml
import pytest

from nvtopo.sources.nvml.field_values import decode

FIELD, SCOPE = 91, 3
GARBAGE = b"\xa5" * 8


def answer(kind: int, member: bytes, code: int = 0, field: int = FIELD) -> bytes:
    """One ``nvmlFieldValue_t``, with garbage in the bytes of the union that the member leaves."""
    return struct.pack("=IIqqIi", field, SCOPE, 0, 0, kind, code) + (member + GARBAGE)[:8]


def value_of(kind: int, member: bytes, code: int = 0) -> int | None:
    (found,) = decode(answer(kind, member, code))
    assert found.key == (FIELD, SCOPE)
    assert found.code == code
    return found.value


@pytest.mark.parametrize(
    ("kind", "member", "value"),
    [
        (pynvml.NVML_VALUE_TYPE_DOUBLE, struct.pack("=d", 7.9), 7),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, struct.pack("=I", 0xFFFF_FFFE), 0xFFFF_FFFE),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG, struct.pack("=Q", 1 << 40), 1 << 40),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG, struct.pack("=Q", 1 << 63), 1 << 63),
        (pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG, struct.pack("=q", 1 << 40), 1 << 40),
        (pynvml.NVML_VALUE_TYPE_SIGNED_INT, struct.pack("=i", 5), 5),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT, struct.pack("=H", 0xFFFF), 0xFFFF),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, struct.pack("=I", 0), 0),
    ],
)
def test_each_type_is_read_from_its_member(kind: int, member: bytes, value: int) -> None:
    assert value_of(kind, member) == value


@pytest.mark.parametrize(
    ("kind", "member"),
    [
        (pynvml.NVML_VALUE_TYPE_SIGNED_INT, struct.pack("=i", -1)),
        (pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG, struct.pack("=q", -1)),
        (pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG, struct.pack("=q", -5)),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, struct.pack("=I", 0xFFFF_FFFF)),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG, struct.pack("=Q", (1 << 64) - 1)),
        (pynvml.NVML_VALUE_TYPE_DOUBLE, struct.pack("=d", math.nan)),
        (pynvml.NVML_VALUE_TYPE_DOUBLE, struct.pack("=d", math.inf)),
        (pynvml.NVML_VALUE_TYPE_COUNT, struct.pack("=Q", 5)),
    ],
)
def test_not_available_and_types_that_nobody_knows_are_no_number(kind: int, member: bytes) -> None:
    assert value_of(kind, member) is None


def test_an_answer_with_an_error_has_no_value() -> None:
    assert value_of(pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, struct.pack("=I", 5), pynvml.NVML_ERROR_NOT_SUPPORTED) is None


def test_a_batch_is_all_its_answers_in_order() -> None:
    batch = answer(pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT, b"\1\0") + answer(pynvml.NVML_VALUE_TYPE_SIGNED_INT, b"", 3)
    assert [(found.code, found.value) for found in decode(batch)] == [(0, 1), (3, None)]


def test_the_layout_is_the_binding_s() -> None:
    values = (pynvml.c_nvmlFieldValue_t * 2)()
    values[1].fieldId, values[1].scopeId = FIELD, SCOPE
    values[1].valueType = pynvml.NVML_VALUE_TYPE_SIGNED_INT
    values[1].value.siVal = 42
    assert list(decode(values))[1] == ((FIELD, SCOPE), 0, 42)


@pytest.mark.parametrize("kind", [pynvml.NVML_VALUE_TYPE_SIGNED_INT, pynvml.NVML_VALUE_TYPE_UNSIGNED_INT])
@pytest.mark.parametrize(("margin", "value"), [(-8, -8), (0, 0), (5, 5), (-1, None)])
def test_a_margin_of_temperature_may_be_negative(kind: int, margin: int, value: int | None) -> None:
    field = pynvml.NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT
    (found,) = decode(answer(kind, struct.pack("=i", margin), field=field))
    assert found.value == value
    (failed,) = decode(answer(kind, struct.pack("=i", margin), code=999, field=field))
    assert failed.value is None
