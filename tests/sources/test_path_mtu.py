"""Which packets another host answers, between two network namespaces of the real kernel."""

import shutil
import subprocess
import sys
from typing import Final

import pytest

from nvtopo.model.formats import icmp
from nvtopo.sources.linux import path_mtu

PROGRAM: Final = """
import subprocess, sys, time
from nvtopo.sources.linux import path_mtu

path_mtu._ANSWER_SECONDS = 0.1  # what is dropped here never comes
theirs, address, host, *netdev = sys.argv[1:]
there = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec cat"], stdin=-1, stdout=-1)
there.stdout.readline()
ip = lambda *words: subprocess.run(["ip", *words], check=True)
enter = ("nsenter", "--net", "--target", str(there.pid), "ip")
mac = "02:00:00:00:00:0"
peer = ("peer", "name", "rail", "address", mac + "2", "mtu", theirs, "netns", str(there.pid))
ip("link", "add", "rail0", "address", mac + "1", "mtu", "9000", "type", "veth", *peer)
for before, device, own, other in ((("ip",), "rail0", "1", "2"), (enter, "rail", "2", "1")):
    at = address.replace("*", other).partition("/")[0]
    for words in (
        ("address", "add", address.replace("*", own), "dev", device, "nodad"),
        ("link", "set", device, "up"),
        ("neighbor", "add", at, "lladdr", mac + other, "dev", device),  # a new link's first questions are lost
    ):
        subprocess.run([*before, *words], check=True)
found = path_mtu.read(host, *netdev)
print(found.netdev, found.mtu_bytes, found.passed_bytes, found.problem)
if not found.problem:
    with path_mtu._Echo(*path_mtu._address(host), "rail0") as echo:
        assert not echo.passes(12000, time.monotonic() + 5), "nothing may be fragmented"
"""
V4: Final = "192.0.2.*/24"
V6: Final = "2001:db8::*/64"


def found(*arguments: str) -> list[str]:
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        pytest.fail("ip and unshare are missing: apt-get install -y iproute2 util-linux", pytrace=False)
    command = ("unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", PROGRAM, *arguments)
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout.split(maxsplit=3)


@pytest.mark.machine
@pytest.mark.parametrize(("address", "host"), [(V4, "192.0.2.2"), (V6, "2001:db8::2")])
def test_a_whole_packet_that_is_answered(address: str, host: str) -> None:
    assert found("9000", address, host) == ["rail0", "9000", "9000"]


@pytest.mark.machine
@pytest.mark.parametrize(("address", "host"), [(V4, "192.0.2.2"), (V6, "2001:db8::2")])
def test_the_other_end_drops_in_silence_what_is_larger_than_its_mtu(address: str, host: str) -> None:
    netdev, mtu, passed = found("1500", address, host, "rail0")
    assert (netdev, mtu) == ("rail0", "9000")
    assert 1500 <= int(passed) <= 1504, "a device of Linux takes a VLAN's tag beside its MTU"


@pytest.mark.machine
def test_a_host_that_is_not_there_answers_nothing() -> None:
    netdev, mtu, passed, *_ = found("9000", V4, "192.0.2.3")
    assert (netdev, mtu, passed) == ("rail0", "9000", "None")


@pytest.mark.machine
def test_a_device_that_is_not_there_is_a_problem() -> None:
    netdev, mtu, passed, problem = found("9000", V4, "192.0.2.2", "rail9")
    assert (netdev, mtu, passed) == ("rail9", "None", "None")
    assert "rail9" in problem


@pytest.mark.machine
def test_no_packet_is_larger_than_a_header_can_say() -> None:
    assert path_mtu._mtu("lo") == 65535


def test_a_checksum_makes_the_sum_of_all_words_right() -> None:
    for size in (0, 1, 1472, 8972):
        message = icmp.request(4, 0x1234, 7, size)
        padded = message + bytes(len(message) % 2)
        total = sum(int.from_bytes(padded[at : at + 2]) for at in range(0, len(padded), 2))
        assert total % 0xFFFF == 0
        assert len(message) == size + icmp.HEADER_BYTES


@pytest.mark.parametrize(
    ("message", "answers"),
    [
        (b"\x00\x00\xff\xff\x12\x34\x00\x07", True),
        (b"\x00\x00\xff\xff\x12\x35\x00\x07", False),
        (b"\x00\x00\xff\xff\x12\x34\x00\x08", False),
        (b"\x08\x00\xff\xff\x12\x34\x00\x07", False),
        (b"\x00\x00\xff", False),
    ],
)
def test_only_the_reply_to_this_request_answers_it(message: bytes, answers: bool) -> None:
    assert icmp.answers(message, 4, 0x1234, 7) is answers
