"""Builds the stand-in for NVIDIA's libnvidia-ml.so.1, for machines without a GPU: `library()` is its path.

Kept below `.cache/nvml/DIGEST/`, where the digest covers the sources, the flags and the compiler, so that a change
builds anew and nothing else does. `python -m tests.nvml.build` prints the path.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
CACHE: Final = HERE.parents[1] / ".cache" / "nvml"
SONAME: Final = "libnvidia-ml.so.1"
FLAGS: Final = ("-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", f"-Wl,-soname,{SONAME}")
CANNOT_BUILD: Final = 3


class BuildError(RuntimeError):
    """The library cannot be built here; the message is the one line to show."""


@cache
def library() -> Path:
    """The built library. Its directory goes into LD_LIBRARY_PATH, since pynvml loads it by soname alone."""
    target = CACHE / _digest() / SONAME
    if not target.exists():
        _compile(target)
    return target


def _sources(*suffixes: str) -> list[Path]:
    return sorted(path for path in HERE.iterdir() if path.suffix in suffixes)


def _digest() -> str:
    digest = hashlib.sha256("\0".join((*FLAGS, _gcc("--version"))).encode())
    for path in _sources(".c", ".h"):
        digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _compile(target: Path) -> None:
    """Compiles beside the target and renames, so that parallel test processes never load half a library."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        built = Path(scratch) / SONAME
        _gcc(*FLAGS, *map(str, _sources(".c")), "-o", str(built))
        built.replace(target)


def _gcc(*arguments: str) -> str:
    compiler = os.environ.get("CC", "gcc")
    try:
        done = subprocess.run([compiler, *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BuildError(
            f"NVML test library: no {compiler!r} found; install a C compiler (Debian: apt-get install gcc libc6-dev)"
        ) from None
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines() or ["?"]
        raise BuildError(f"NVML test library: {compiler} failed: {errors[0]}")
    return done.stdout


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{library()}\n")
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(CANNOT_BUILD)
