"""LLDP: what a frame says, who is heard now, and what a host without the right is told."""

import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.formats import limits, lldp
from nvtopo.model.formats.lldp import Frame, Id
from nvtopo.model.records.facts import LldpFacts, Neighbor
from nvtopo.model.records.snapshot import VERSION, Snapshot
from nvtopo.model.records.spec import compact, expand
from nvtopo.sources import reading
from nvtopo.sources.linux import lldp as source
from nvtopo.sources.linux import neighbors
from nvtopo.sources.linux.lldp_table import MOST_OF_PORT, LldpTable
from nvtopo.sources.machine import Reading
from nvtopo.sources.sysfs import SysfsRoot
from tests.fabrics.lldp_frames import frame, tlv

PORTS = frozenset(("eth0", "eth1"))


def test_a_switch_says_who_it_is() -> None:
    assert lldp.frame_in(frame()) == Frame(
        chassis=Id("mac", "02:00:00:00:07:00"),
        port=Id("ifname", "swp7"),
        ttl_seconds=120,
        name="leaf-r0",
        system="Some NOS 5.9",
        port_description="to gpu07",
        capabilities=("bridge", "router"),
    )


@pytest.mark.parametrize(
    ("chassis", "said"),
    [
        (b"\x05\x01\x0a\x00\x00\x01", Id("ip", "10.0.0.1")),
        (b"\x05\x02" + bytes(15) + b"\x01", Id("ip", "::1")),
        (b"\x05\x01\x0a", Id("ip", "01:0a")),
        (b"\x04\x0a", Id("mac", "0a")),
        (b"\x07serial 7", Id("local", "serial 7")),
        (b"\x07\xff\xfe", Id("local", "ff:fe")),
        (b"\x63x", Id("kind-99", "x")),
    ],
)
def test_a_chassis_is_known_by_several_kinds_of_id(chassis: bytes, said: Id) -> None:
    assert lldp.frame_in(frame(chassis=chassis)).chassis == said


def test_what_a_terminal_should_not_get_is_replaced() -> None:
    assert lldp.frame_in(frame(name=b"leaf\x1b[31m\n\0 r0")).name == "leaf\ufffd[31m r0"


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        frame()[:13],
        frame().replace(b"\x88\xcc", b"\x08\x00", 1),
        frame()[:20],
        frame()[:14],
        frame(chassis=b"\x04"),
        frame()[:14] + tlv(2, b"\x05swp7") + tlv(1, b"\x07x") + tlv(3, b"\0\1"),
        frame()[:14] + tlv(1, b"\x07x") + tlv(2, b"\x05swp7") + tlv(3, b"\1"),
        frame(more=tlv(127, b"")[:1] * 3)[:-2] + b"\xff\xff",
        frame(more=tlv(127, b"") * 300),
    ],
)
def test_what_is_no_announcement_is_refused_in_one_line(bad: bytes) -> None:
    with pytest.raises(ValueError, match=r"^expected [^\n]+$"):
        lldp.frame_in(bad)


@given(st.binary(max_size=600))
def test_any_bytes_are_an_announcement_or_refused(body: bytes) -> None:
    for content in (body, frame()[:14] + body, frame()[:-2] + body):
        try:
            found = lldp.frame_in(content)
        except ValueError:
            continue
        assert all(text.isprintable() for text in (*found.chassis, *found.port, found.name, found.system))


def _said(name: str = "leaf-r0", port: str = "swp7", ttl: int = 120) -> Frame:
    return Frame(Id("mac", "02:00:00:00:07:00"), Id("ifname", port), ttl, name)


def test_a_neighbour_counts_until_its_time_is_over_or_it_says_goodbye() -> None:
    table = LldpTable()
    assert table.hear("eth0", _said(), 0.0)
    assert not table.hear("eth0", _said(), 100.0)
    assert not table.expire(219.9, PORTS)
    assert table.expire(220.0, PORTS)
    assert table.neighbors() == ()
    assert table.hear("eth0", _said(), 300.0)
    assert table.hear("eth0", _said(name="leaf-r1"), 301.0)
    assert table.hear("eth0", _said(ttl=0), 302.0)
    assert not table.hear("eth0", _said(ttl=0), 303.0)
    assert table.neighbors() == ()


def test_a_port_that_is_gone_hears_nobody() -> None:
    table = LldpTable()
    table.hear("eth7", _said(), 0.0)
    assert table.expire(1.0, PORTS)


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 20)), max_size=300))
def test_nobody_can_fill_it(announced: list[tuple[int, int]]) -> None:
    table = LldpTable()
    for port, other in announced:
        table.hear(f"eth{port}", _said(port=f"swp{other}"), 0.0)
    found = table.neighbors()
    assert len(found) <= limits.MOST_NEIGHBORS
    assert all(sum(one.netdev == port for one in found) <= MOST_OF_PORT for port in {one.netdev for one in found})


class _Ears:
    def __init__(self, *neighbors: Neighbor) -> None:
        self._facts = LldpFacts(neighbors=neighbors)

    def reading(self) -> Reading:
        return Reading(self._facts)


def test_what_is_heard_is_a_fact_of_the_node_and_survives_the_resource(tmp_path: Any) -> None:
    heard = Neighbor(netdev="eth0", chassis="mac 02:00:00:00:07:00", port="swp7", name="leaf-r0")
    machine = reading.this_machine(root=str(tmp_path))._replace(lldp=_Ears(heard))
    node = assemble(reading.read(machine, (neighbors,)))
    assert node.neighbors == (heard,)
    assert expand(compact(node)).neighbors == (heard,)
    assert reading.read(machine._replace(lldp=None), (neighbors,)) == Snapshot(capture=VERSION)


_WITHOUT = """
import queue
from nvtopo.sources.linux.lldp import LldpListener
news = queue.SimpleQueue()
with LldpListener(tuple, lambda: news.put(None)) as listener:
    news.get(timeout=20)
    print(listener.reading())
"""


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="taking a capability away needs root")
def test_without_the_right_it_is_a_problem_that_names_the_right() -> None:
    told = subprocess.run(
        ["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", sys.executable, "-c", _WITHOUT],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert told.stderr == ""
    assert "facts=None" in told.stdout
    assert "Operation not permitted (it takes CAP_NET_RAW: daemonset/components/lldp)" in told.stdout


def test_ports_of_pods_and_tunnels_are_not_listened_to(tmp_path: Any) -> None:
    for name in ("eth0", "cali123"):
        (tmp_path / "sys/class/net" / name).mkdir(parents=True)
    (tmp_path / "sys/class/net/eth0/device").mkdir()
    assert source.ports(SysfsRoot(str(tmp_path))) == {"eth0"}
