"""`python -m release.push REGISTRY [ARCHIVE]`: the image for all platforms, out of its archive into a registry."""

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import nvtopo
from image.build import NAME
from release.errors import ReleaseError

_ARCHIVE: Final = Path("build/image/nvtopo.oci.tar")
#: HOST[:PORT][/PATH], as the tag of an image may begin.
_REGISTRY: Final = re.compile(r"[a-z0-9][a-z0-9.-]*(:\d{1,5})?(/[a-z0-9._-]+)*")
_EXAMPLE: Final = "make push REGISTRY=registry.example.com/team"


def target(registry: str) -> str:
    """Where the image goes: REGISTRY/nvtopo:VERSION."""
    if not registry:
        raise ReleaseError(f"where to push is not said: {_EXAMPLE}")
    if not _REGISTRY.fullmatch(registry.rstrip("/")):
        raise ReleaseError(f"{registry!r} is no registry, expected HOST[:PORT][/PATH]: {_EXAMPLE}")
    return f"{registry.rstrip('/')}/nvtopo:{nvtopo.__version__}"


def commands(
    archive: Path, where: str, options: tuple[str, ...], which: Callable[[str], str | None]
) -> list[tuple[str, ...]]:
    """What pushes it: skopeo, or buildah with a list of the archive's platforms."""
    # By its name in the archive, which has signatures beside it.
    source, destination = f"oci-archive:{archive}:{NAME}", f"docker://{where}"
    if which("skopeo"):
        return [("skopeo", "copy", "--all", *(f"--dest-{one}" for one in options), source, destination)]
    if which("buildah"):
        name = f"localhost/nvtopo-push-{os.getpid()}"
        return [
            ("buildah", "manifest", "create", name),
            ("buildah", "manifest", "add", "--all", name, source),
            ("buildah", "manifest", "push", "--all", "--rm", *(f"--{one}" for one in options), name, destination),
        ]
    raise ReleaseError("neither skopeo nor buildah is installed: apt-get install -y skopeo")


def main(arguments: list[str]) -> int:
    """Exit status: 2 for a registry that is none, 3 if it can't be pushed."""
    parser = argparse.ArgumentParser(prog="python -m release.push", description=__doc__)
    parser.add_argument("registry")
    parser.add_argument("archive", nargs="?", type=Path, default=_ARCHIVE)
    parser.add_argument("--insecure", action="store_true", help="a registry without TLS, or with any certificate")
    given = parser.parse_args(arguments)
    try:
        where = target(given.registry)
    except ReleaseError as error:
        return _refused(error, 2)
    try:
        _push(given.archive, where, ("tls-verify=false",) if given.insecure else ())
    except ReleaseError as error:
        return _refused(error, 3)
    sys.stdout.write(f"{where}\n")
    return 0


def _push(archive: Path, where: str, options: tuple[str, ...]) -> None:
    if not archive.is_file():
        raise ReleaseError(f"{archive} does not exist: make image")
    for command in commands(archive, where, options, shutil.which):
        if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
            raise ReleaseError(f"{command[0]} did not push to {where}: what it said is above")


def _refused(error: ReleaseError, status: int) -> int:
    sys.stderr.write(f"push: {error}\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
