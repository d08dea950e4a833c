"""Flow control of NICs: the kernel's own answer, its messages as it nests them, and the files of NVIDIA's package."""

import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.model.records.facts import NetQos, QosFacts
from nvtopo.sources.linux import dcb, qos
from nvtopo.sources.machine import Machine, NoNvml
from nvtopo.sources.netlink import Netlink, attribute, attributes
from nvtopo.sources.sysfs import SysfsReader, SysfsRoot
from tests.machines import sysfs_text

NESTED = 0x8000
RTM_GETLINK = 18


def answer(*inner: bytes) -> dcb.Dcb:
    """What is read of DCB_CMD_IEEE_GET's answer with these attributes in DCB_ATTR_IEEE."""
    return dcb.parse(attributes(memoryview(attribute(1, b"eth0\0") + attribute(13 | NESTED, b"".join(inner)))))


def pfc(enabled: int) -> bytes:
    """``struct ieee_pfc``: capability, bitmap, MACsec bypass, delay, requests, indications."""
    return attribute(2, struct.pack("=BBBxH2x16Q", 8, enabled, 0, 0, *range(16)))


def app(selector: int, priority: int, protocol: int) -> bytes:
    return attribute(1, struct.pack("=BBH", selector, priority, protocol))


def test_pfc_is_the_bitmap_and_not_the_capability() -> None:
    assert answer(pfc(0b1000)).pfc == 0b1000
    assert answer(pfc(0)).pfc == 0


def test_dscp_is_trusted_if_an_entry_maps_one() -> None:
    assert answer(attribute(3 | NESTED, app(1, 3, 0x8914) + app(5, 3, 26))).trusts_dscp is True
    assert answer(attribute(3 | NESTED, app(1, 3, 0x8914))).trusts_dscp is False
    assert answer(attribute(3 | NESTED, b"")).trusts_dscp is False


def test_each_priority_has_the_size_of_its_buffer() -> None:
    sizes = [20016, 156096, 0, 0, 0, 0, 0, 0]
    buffer = attribute(10, struct.pack("=8B8II", 0, 0, 0, 1, 0, 0, 2, 9, *sizes, sum(sizes)))
    assert answer(buffer).buffers_bytes == (20016, 20016, 20016, 156096, 20016, 20016, 0, 0)


def test_what_the_driver_does_not_say_is_not_known() -> None:
    assert answer() == dcb.Dcb()
    assert dcb.parse(attributes(memoryview(attribute(1, b"eth0\0")))) == dcb.Dcb()
    assert answer(attribute(2, b"\x08")).pfc is None


@given(st.binary(max_size=120))
def test_noise_is_refused_or_read(noise: bytes) -> None:
    with contextlib.suppress(OSError):
        assert dcb.parse(attributes(memoryview(attribute(13, noise)))).pfc in {None, *range(256)}


def test_this_kernel_refuses_for_loopback_and_the_refusal_is_no_problem() -> None:
    with pytest.raises(OSError, match=r".") as refused:
        dcb.ask("lo", 5)
    assert refused.value.errno in qos._NOT_THERE
    reader = SysfsReader(SysfsRoot("/nowhere"), "qos")
    assert qos._told(reader, "lo") == dcb.Dcb()
    assert reader.problems == []


def test_another_refusal_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(netdev: str, seconds: float) -> dcb.Dcb:
        raise TimeoutError(110, f"{netdev} after {seconds}")

    monkeypatch.setattr(dcb, "ask", refuse)
    reader = SysfsReader(SysfsRoot("/nowhere"), "qos")
    assert qos._told(reader, "eth0") == dcb.Dcb()
    assert [problem.subject for problem in reader.problems] == ["eth0"]


def test_one_question_has_one_answer() -> None:
    """RTM_GETLINK of the first device, which every network namespace has: lo."""
    with Netlink(0, 5) as kernel:
        body = struct.pack("=BxHiII", 0, 0, 1, 0, 0)
        named = dict(attributes(kernel.ask(RTM_GETLINK, body)[16:]))
        assert bytes(named[3]) == b"lo\0"
        with pytest.raises(OSError, match=r"."):
            kernel.ask(RTM_GETLINK, struct.pack("=BxHiII", 0, 0, 0x7FFFFFFF, 0, 0))
        assert bytes(dict(attributes(kernel.ask(RTM_GETLINK, body)[16:]))[3]) == b"lo\0"


def tree(root: Path, *, priorities: int = 8) -> Machine:
    net = "/sys/devices/pci0000:00/0000:00:01.0/net/eth0"
    lines = ["/sys/class/net/eth0 -> ../../devices/pci0000:00/0000:00:01.0/net/eth0", f"{net}/ifindex = 2"]
    for role, enabled in (("np", 3), ("rp", 4)):
        lines += [f"{net}/ecn/roce_{role}/enable/{one} = {int(one == enabled)}" for one in range(priorities)]
    lines += ["/sys/class/net/lo -> ../../devices/virtual/net/lo", "/sys/devices/virtual/net/lo/ifindex = 1"]
    sysfs_text.unpack("\n".join(lines), root)
    return Machine(root=SysfsRoot(str(root)), nvml=NoNvml())


def test_ecn_of_the_driver_s_package(tmp_path: Path) -> None:
    expected = QosFacts(devices=(NetQos(netdev="eth0", ecn_notify=1 << 3, ecn_react=1 << 4),))
    assert qos.read(tree(tmp_path)) == (expected, ())


def test_half_a_list_is_not_known(tmp_path: Path) -> None:
    assert qos.read(tree(tmp_path, priorities=7)) == (None, ())
