"""What a program and its children hold and have used, as the kernel counts it."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import psutil

_ROLLUP: Final = re.compile(r"^(Pss|Pss_Anon): +([0-9]+) kB$", re.MULTILINE)
_KIB: Final = 1024


class Footprint(NamedTuple):
    """Of a process, or of several together, at one moment."""

    pss_bytes: int = 0
    """Proportional set size: a page that several processes share counts in parts."""
    anonymous_bytes: int = 0
    """The part of it that is in no file: what the program allocated. Other programs do not change it."""
    descriptors: int = 0
    threads: int = 0

    def plus(self, other: "Footprint") -> "Footprint":
        """Both together."""
        return Footprint(*(one + another for one, another in zip(self, other, strict=True)))


class Family(NamedTuple):
    """A program and its children."""

    own: Footprint
    children: tuple[tuple[str, Footprint], ...]
    """Command and what it holds."""

    @property
    def all(self) -> Footprint:
        """All together."""
        total = self.own
        for _, child in self.children:
            total = total.plus(child)
        return total


def family(process: psutil.Process) -> Family:
    """At this moment; children that end meanwhile are left out."""
    return Family(_footprint(process.pid), tuple(_children(process)))


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time so far, of its children too, those that have ended among them."""
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(one.cpu_times()[:4])
    return total


def _children(process: psutil.Process) -> Iterator[tuple[str, Footprint]]:
    """Between vfork and exec a child has its parent's memory and command: that is not counted twice."""
    own = process.cmdline()
    for child in process.children(recursive=True):
        with contextlib.suppress(OSError, psutil.NoSuchProcess):
            command = child.cmdline()
            if command != own:
                yield " ".join(command), _footprint(child.pid)


def _footprint(pid: int) -> Footprint:
    folder = Path(f"/proc/{pid}")
    sizes = {name: int(size) * _KIB for name, size in _ROLLUP.findall((folder / "smaps_rollup").read_text())}
    return Footprint(
        sizes.get("Pss", 0),
        sizes.get("Pss_Anon", 0),
        sum(1 for _ in (folder / "fd").iterdir()),
        sum(1 for _ in (folder / "task").iterdir()),
    )
