"""A clock that tests set, for real processes: ``clock.c`` between them and the C library."""

import mmap
import struct
import subprocess
from pathlib import Path
from typing import Final

_SOURCE: Final = Path(__file__).with_name("clock.c")
_ADDED: Final = struct.Struct("=qq")
_NANOSECONDS: Final = 1_000_000_000


class Clock:
    """The clocks of those processes that have ``environment``: right until they are set."""

    def __init__(self, directory: Path) -> None:
        library = directory / "clock.so"
        subprocess.run(
            ("gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(library), str(_SOURCE)),
            check=True,
        )
        file = directory / "clock"
        file.write_bytes(bytes(_ADDED.size))
        self.environment = {"LD_PRELOAD": str(library), "NVTOPO_CLOCK": str(file)}
        with file.open("r+b") as opened:
            self._added = mmap.mmap(opened.fileno(), _ADDED.size)

    def set_by(self, seconds: int) -> None:
        """Somebody sets the wall clock, forward or backward; deadlines are of other clocks."""
        wall, passed = _ADDED.unpack(self._added)
        self._added[:] = _ADDED.pack(wall + seconds * _NANOSECONDS, passed)

    def passes(self, seconds: int) -> None:
        """Time passes, on every clock."""
        wall, passed = _ADDED.unpack(self._added)
        self._added[:] = _ADDED.pack(wall, passed + seconds * _NANOSECONDS)
