"""A device whose files hang, for real processes: ``hang.c`` between them and the C library."""

import mmap
import subprocess
from pathlib import Path
from typing import Final

_SOURCE: Final = Path(__file__).with_name("hang.c")
_PAGE: Final = 4096


class Hang:
    """Those processes that have ``environment`` open every file, until one is told to hang."""

    def __init__(self, directory: Path) -> None:
        library = directory / "hang.so"
        subprocess.run(
            ("gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(library), str(_SOURCE)),
            check=True,
        )
        file = directory / "hang"
        file.write_bytes(bytes(_PAGE))
        self.environment = {"LD_PRELOAD": str(library), "NVTOPO_HANG": str(file)}
        with file.open("r+b") as opened:
            self._path = mmap.mmap(opened.fileno(), _PAGE)

    def begin(self, path: Path) -> None:
        """Whoever opens a file whose path starts so waits."""
        self._path[:] = str(path).encode().ljust(_PAGE, b"\0")

    def end(self) -> None:
        """And goes on."""
        self._path[:] = bytes(_PAGE)
