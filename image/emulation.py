"""Programs of another machine on this one: the kernel hands them to Debian's `qemu-user-static` during a build.

The kernel's table (binfmt_misc) is the whole machine's, so what is entered here is taken out again, and an entry that
is there already is used as it is.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from image.platforms import HOST, Platform
from image.tools import ImageError, run

_TABLE: Final = Path("/proc/sys/fs/binfmt_misc")
#: ELF's number of the machine (`e_machine`), at byte 18.
_ELF_MACHINES: Final = {"x86_64": 62, "aarch64": 183}
#: 64 bits, little-endian, version 1, any system, a program or a shared object.
_MAGIC: Final = b"\x7fELF\x02\x01\x01\x00" + bytes(8) + b"\x02\x00"
_MASK: Final = b"\xff" * 7 + b"\x00" + b"\xff" * 8 + b"\xfe\xff\xff\xff"


@contextlib.contextmanager
def of(platform: Platform) -> Iterator[None]:
    """While it lasts, this kernel runs programs of that machine."""
    if platform == HOST:
        yield
        return
    with _table():
        if _entered(platform):
            yield
            return
        entry = f"nvtopo-{platform.machine}"
        _write("register", _line(entry, platform))
        try:
            yield
        finally:
            _write(entry, b"-1")


@contextlib.contextmanager
def _table() -> Iterator[None]:
    """The kernel's table, mounted while it is needed."""
    if (_TABLE / "register").exists():
        yield
        return
    run("mount", "-t", "binfmt_misc", "binfmt_misc", str(_TABLE))
    try:
        yield
    finally:
        run("umount", str(_TABLE))


def _entered(platform: Platform) -> bool:
    """Is there an entry that holds inside of a chroot too (F: the interpreter was opened when it was entered)?"""
    magic = _magic(platform).hex()
    entries = (path.read_text() for path in _TABLE.iterdir() if path.name not in ("register", "status"))
    return any(
        entry.startswith("enabled") and f"magic {magic}\n" in entry and re.search(r"^flags: .*F", entry, re.MULTILINE)
        for entry in entries
    )


def _magic(platform: Platform) -> bytes:
    return _MAGIC + _ELF_MACHINES[platform.machine].to_bytes(2, "little")


def _line(entry: str, platform: Platform) -> bytes:
    interpreter = f"/usr/bin/qemu-{platform.machine}-static"
    if not Path(interpreter).exists():
        raise ImageError(f"{interpreter} is missing: apt-get install -y qemu-user-static")
    magic, mask = (b"".join(b"\\x%02x" % byte for byte in value) for value in (_magic(platform), _MASK))
    return b":".join((b"", entry.encode(), b"M", b"0", magic, mask, interpreter.encode(), b"FPOC"))


def _write(name: str, content: bytes) -> None:
    try:
        (_TABLE / name).write_bytes(content)
    except OSError as error:
        raise ImageError(f"{_TABLE / name}: {error.strerror}: programs of another machine cannot be run here") from None
