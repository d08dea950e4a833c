"""LLDP heard on this host's ports, if the agent listens: the neighbours whose time is not over."""

import contextlib
import logging
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Self

from nvtopo.model.formats import lldp
from nvtopo.model.records.facts import LldpFacts
from nvtopo.model.records.record import Problem
from nvtopo.sources.linux.lldp_table import LldpTable
from nvtopo.sources.linux.neighbors import NAME
from nvtopo.sources.machine import Reading
from nvtopo.sources.sysfs import SysfsRoot

logger = logging.getLogger(__name__)

_CLASS: Final = "/sys/class/net"
#: Between two looks at which ports there are, and after a failure.
_LOOK_SECONDS: Final = 10.0
_FRAME_BYTES: Final = 9216
_RIGHT: Final = " (it takes CAP_NET_RAW: daemonset/components/lldp)"
#: include/uapi/linux/if_packet.h
_SOL_PACKET, _ADD_MEMBERSHIP, _MULTICAST, _ORIGINAL_DEVICE, _OUTGOING = 263, 1, 0, 9, 4
#: ``struct packet_mreq``, and LLDP's three addresses.
_MEMBERSHIP: Final = struct.Struct("=iHH8s")
_GROUPS: Final = tuple(bytes.fromhex(address) for address in ("0180c200000e", "0180c2000003", "0180c2000000"))
#: ``struct sock_filter`` and ``struct sock_fprog``.
_INSTRUCTION: Final = struct.Struct("=HBBI")
_PROGRAM: Final = struct.Struct("HL")
_ATTACH_FILTER: Final = 26
#: ldh [12]; jeq 0x88cc; ret all; ret nothing.
_FILTER: Final = (
    (0x28, 0, 0, 12),
    (0x15, 0, 1, lldp.ETHERTYPE),
    (0x06, 0, 0, _FRAME_BYTES),
    (0x06, 0, 0, 0),
)


def ports(root: SysfsRoot) -> frozenset[str]:
    """Ports of hardware. What is heard on a pod's or tunnel's link is the word of a pod."""
    try:
        names = root.names(_CLASS)
    except OSError:
        return frozenset()
    return frozenset(name for name in names if root.exists(f"{_CLASS}/{name}/device"))


class LldpListener:
    """Listens from entering to leaving; ``reading`` from any thread."""

    def __init__(self, ports: Callable[[], Iterable[str]], changed: Callable[[], None] = lambda: None) -> None:
        """``ports``: the network devices whose frames count. ``changed`` is called from the listener's thread."""
        self._ports = ports
        self._changed = changed
        self._table = LldpTable()
        self._lock = threading.Lock()
        self._failure: str | None = None
        self._end_reader, self._end_writer = os.pipe()
        self._thread = threading.Thread(target=self._run, name="lldp", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._end_writer)
        self._thread.join()
        os.close(self._end_reader)

    def wake(self, changed: Callable[[], None]) -> None:
        """Call this whenever a neighbour is otherwise than before."""
        self._changed = changed

    def reading(self) -> Reading:
        """Who is heard, and why nobody can be if so."""
        with self._lock:
            failure = self._failure
            facts = LldpFacts(neighbors=self._table.neighbors())
        problems = () if failure is None else (Problem(source=NAME, subject=NAME, reason=failure),)
        return Reading(facts if failure is None else None, problems)

    def _run(self) -> None:
        while not self._ended(0):
            try:
                with _socket() as packets:
                    self._say(None)
                    self._listen(packets)
            except OSError as error:
                self._say(
                    f"cannot listen: {error.strerror or error}{_RIGHT if isinstance(error, PermissionError) else ''}"
                )
                self._ended(_LOOK_SECONDS)

    def _listen(self, packets: socket.socket) -> None:
        joined: set[int] = set()
        looked = float("-inf")
        present: frozenset[str] = frozenset()
        while True:
            now = time.monotonic()
            if now >= looked + _LOOK_SECONDS:
                looked, present = now, frozenset(self._ports())
                joined = set(_join(packets, present, joined))
            with self._lock:
                over = self._table.expire(now, present)
                until = self._table.until()
            if over:
                self._changed()
            wait = min(looked + _LOOK_SECONDS, until or float("inf")) - now
            descriptor = packets.fileno()
            ready, _, _ = select.select([descriptor, self._end_reader], [], [], max(0.0, wait))
            if self._end_reader in ready:
                return
            if descriptor in ready:
                self._take(packets, present)

    def _take(self, packets: socket.socket, present: frozenset[str]) -> None:
        content, (netdev, _, kind, _, _) = packets.recvfrom(_FRAME_BYTES)
        if netdev not in present or kind == _OUTGOING:
            return
        try:
            frame = lldp.frame_in(content)
        except ValueError:
            return
        with self._lock:
            news = self._table.hear(netdev, frame, time.monotonic())
        if news:
            self._changed()

    def _say(self, failure: str | None) -> None:
        with self._lock:
            news, self._failure = failure != self._failure, failure
        if news:
            self._changed()

    def _ended(self, seconds: float) -> bool:
        return bool(select.select([self._end_reader], [], [], seconds)[0])


def _join(packets: socket.socket, present: Iterable[str], joined: set[int]) -> Iterator[int]:
    """Asks the ports for LLDP's addresses. A port that came back has another index."""
    for name in sorted(present):
        with contextlib.suppress(OSError):  # gone meanwhile: the next look finds out
            index = socket.if_nametoindex(name)
            if index not in joined:
                for group in _GROUPS:
                    membership = _MEMBERSHIP.pack(index, _MULTICAST, len(group), group)
                    packets.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, membership)
            yield index


@contextlib.contextmanager
def _socket() -> Iterator[socket.socket]:
    """LLDP's frames on all ports, each with the port itself and not the bond above it."""
    import ctypes

    program = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*one) for one in _FILTER))
    protocol = socket.htons(lldp.ETHERTYPE)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol) as packets:
        packets.setsockopt(_SOL_PACKET, _ORIGINAL_DEVICE, 1)
        packets.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, _PROGRAM.pack(len(_FILTER), ctypes.addressof(program)))
        yield packets
