"""Other programs, run; what they say where they fail."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_LAST_LINES: Final = 12


class ImageError(Exception):
    """The image cannot be built; the message says which program failed, with its last words."""


def run(*argv: str, environment: Mapping[str, str] | None = None, stdin: str | None = None) -> str:
    """What the program prints on standard output."""
    given = None if stdin is None else stdin.encode()
    return run_bytes(*argv, environment=environment, stdin=given).decode(errors="replace").strip()


def run_bytes(*argv: str, environment: Mapping[str, str] | None = None, stdin: bytes | None = None) -> bytes:
    """The same in bytes."""
    try:
        done = subprocess.run(
            argv, env={**os.environ, **(environment or {})}, input=stdin, capture_output=True, check=False
        )
    except FileNotFoundError:
        raise ImageError(f"{argv[0]} is missing: apt-get install -y {argv[0]}") from None
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace").strip()
        words = "\n".join(said.splitlines()[-_LAST_LINES:])
        raise ImageError(f"{' '.join(argv)[:200]} ended with {done.returncode}:\n{words}")
    return done.stdout


class Buildah:
    """Debian's buildah with a store of its own in `folder`; containers are plain chroots, as no daemon is asked."""

    def __init__(self, folder: Path) -> None:
        driver = "overlay" if re.search(r"\boverlay$", Path("/proc/filesystems").read_text(), re.MULTILINE) else "vfs"
        self._command = (
            "buildah",
            "--root",
            str(folder / "store"),
            "--runroot",
            str(folder / "run"),
            "--storage-driver",
            driver,
        )

    def __call__(self, *argv: str) -> str:
        """What `buildah ARGV…` prints."""
        return run(*self._command, *argv)

    def has(self, name: str) -> bool:
        """Is an image of that name in the store?"""
        return bool(self("images", "--quiet", "--filter", f"reference={name}"))

    def clear(self, most: int) -> None:
        """Drops what builds left behind, once the store has more than so many images."""
        if len(self("images", "--all", "--quiet").split()) > most:
            self("rmi", "--prune", "--force")

    def build(self, context: Path, *arguments: str) -> str:
        """The identity (a digest) of the image that a Dockerfile gives; instructions seen before are not run again."""
        words = ("--quiet", "--isolation", "chroot", "--pull-never", "--layers", *arguments)
        return self("build", *words, str(context)).splitlines()[-1]

    def export(self, image: str, archive: Path, name: str) -> None:
        """Writes an OCI archive in which the image bears that name."""
        self("push", "--quiet", image, f"oci-archive:{archive}:{name}")
