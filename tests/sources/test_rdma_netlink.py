"""Netlink: the framing against this kernel and against noise, RDMA's tables as the kernel nests them.

Real RDMA answers come in tests/vm.
"""

import contextlib
import errno
import os
import sys
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.sources import netlink
from nvtopo.sources.netlink import Netlink, attribute, attributes, messages
from nvtopo.sources.rdma import netlink_rdma as rdma_netlink

NETLINK_GENERIC = 16
GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME = 16, 3, 2
GENERIC_HEADER = bytes([CTRL_CMD_GETFAMILY, 1, 0, 0])


def test_this_kernel_s_families_are_dumped_to_the_end() -> None:
    with Netlink(NETLINK_GENERIC, 5) as kernel:
        for _ in range(2):
            payloads = kernel.dump(GENL_ID_CTRL, GENERIC_HEADER)
            names = [bytes(dict(attributes(payload[4:]))[CTRL_ATTR_FAMILY_NAME]) for payload in payloads]
            assert b"nlctrl\0" in names
            assert len(set(names)) == len(names)


def test_a_refusal_is_the_kernel_s_errno() -> None:
    with Netlink(NETLINK_GENERIC, 5) as kernel, pytest.raises(OSError, match=os.strerror(errno.EOPNOTSUPP)):
        list(kernel.dump(GENL_ID_CTRL, bytes([250, 1, 0, 0])))


@pytest.mark.parametrize("code", [-(1 << 31), -4096, 1, (1 << 31) - 1])
def test_an_end_that_holds_no_errno_is_refused(code: int) -> None:
    with pytest.raises(OSError, match=f"expected a negative errno, got {code}") as refused:
        netlink._raise_for(memoryview(code.to_bytes(4, sys.byteorder, signed=True)))
    assert refused.value.errno == errno.EPROTO


@given(st.binary(max_size=200))
def test_noise_is_refused_or_read_and_always_ends(noise: bytes) -> None:
    with contextlib.suppress(OSError):
        assert sum(len(payload) for _, _, payload in messages(memoryview(noise))) <= len(noise)
    with contextlib.suppress(OSError):
        assert sum(len(value) for _, value in attributes(memoryview(noise))) <= len(noise)


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=40))))
def test_attributes_come_back_as_they_were_written(pairs: list[tuple[int, bytes]]) -> None:
    payload = b"".join(attribute(kind, value) for kind, value in pairs)
    assert [(kind, bytes(value)) for kind, value in attributes(memoryview(payload))] == pairs


def nested(kind: int, *inner: bytes) -> bytes:
    return attribute(kind | 0x8000, b"".join(inner))


def number(kind: int, value: int, size: int = 4) -> bytes:
    return attribute(kind, value.to_bytes(size, sys.byteorder))


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def read(*parts: bytes) -> netlink.Attributes:
    return attributes(memoryview(b"".join(parts)))


def test_resources_in_use() -> None:
    rows = [nested(16, text(17, name), number(18, count, 8)) for name, count in (("qp", 2000), ("mr", 7), ("new", 1))]
    message = read(number(1, 3), text(2, "mlx5_3"), nested(15, *rows))
    assert rdma_netlink.summary(message) == rdma_netlink.Device(3, "mlx5_3", {"qp": 2000, "mr": 7})
    assert rdma_netlink.summary(read(text(2, "mlx5_3"))) is None


def test_queue_pairs_by_type_and_state() -> None:
    pairs = [(2, 3), (2, 3), (2, 6), (255, 0), (77, 99)]
    rows = [nested(20, number(21, 40 + row), number(26, kind, 1), number(27, state, 1))
            for row, (kind, state) in enumerate(pairs)]  # fmt: skip
    found = list(rdma_netlink.kinds(read(number(1, 3), nested(19, *rows))))
    assert found == [("RC", "RTS"), ("RC", "RTS"), ("RC", "ERR"), ("DRIVER", "RESET"), ("other", "other")]


class Kernel:
    """A kernel with a device of few queue pairs and one of many."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def devices(self) -> tuple[rdma_netlink.Device, ...]:
        most = rdma_netlink.MOST_QUEUE_PAIRS
        return rdma_netlink.Device(0, "few", {"qp": most}), rdma_netlink.Device(1, "many", {"qp": most + 1})

    def queue_pairs(self, device: int) -> dict[tuple[str, str], int]:
        assert device == 0
        return {("RC", "RTS"): 4096}

    def bound_counters(self, device: int) -> dict[tuple[int, str, str], int]:
        assert device == 0
        return {}


def test_too_many_queue_pairs_are_not_asked_for_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rdma_netlink, "RdmaNetlink", Kernel)
    few, many = rdma_netlink.read(1.0, queue_pairs=True)
    assert (few.queue_pairs, few.bound) == ({("RC", "RTS"): 4096}, {})
    assert (many.resources["qp"], many.queue_pairs, many.bound) == (4097, None, None)
    assert all(device.queue_pairs is None for device in rdma_netlink.read(1.0, queue_pairs=False))


def test_counters_that_are_bound_to_queue_pairs() -> None:
    counters = [nested(81, text(82, name), number(83, count, 8)) for name, count in (("out_of_sequence", 9), ("x", 2))]
    by_type = nested(78, number(3, 1), number(79, 5), number(74, 1), number(26, 2, 1), nested(80, *counters))
    by_hand = nested(78, number(3, 2), number(79, 6), number(74, 2), nested(80, counters[0]))
    found = dict(rdma_netlink.bound(read(number(1, 0), nested(77, by_type, by_hand))))
    assert found == {
        (1, "RC", "out_of_sequence"): 9,
        (1, "RC", "x"): 2,
        (2, "other", "out_of_sequence"): 9,
    }
