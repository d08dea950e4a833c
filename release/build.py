"""Each part of a release, built from an export of the commit: nothing else that lies about gets in."""

import io
import os
import sys
import tarfile
from pathlib import Path
from typing import Final

from image.tools import run, run_bytes
from release import archives

REPOSITORY: Final = Path(__file__).resolve().parents[1]
#: The hooks of PEP 517, which pip calls too.
_HOOKS: Final = "import sys; from setuptools import build_meta as b; getattr(b, sys.argv[1])(sys.argv[2])"


def git(*arguments: str) -> str:
    """What git prints about this repository."""
    return run("git", "-C", str(REPOSITORY), *arguments)


def export(commit: str, folder: Path) -> None:
    """The files of the commit."""
    content = run_bytes("git", "-C", str(REPOSITORY), "archive", "--format=tar", commit)
    with tarfile.open(fileobj=io.BytesIO(content)) as opened:
        opened.extractall(folder, filter="data")


def all_of(source: Path, version: str, epoch: int, folder: Path) -> None:
    """What needs neither root nor, once nvtopo is installed with its tests, a network."""
    sdist(source, epoch, folder)
    wheel(source, epoch, folder)
    chart(source, version, epoch, folder)
    bill_of_materials(source, version, folder)


def wheel(source: Path, epoch: int, folder: Path) -> Path:
    """The wheel of the package in `source`, by the setuptools of this environment: no network."""
    return _hook("build_wheel", source, epoch, folder)


def sdist(source: Path, epoch: int, folder: Path) -> Path:
    """The source distribution, packed so that the same commit gives the same bytes."""
    made = _hook("build_sdist", source, epoch, folder)
    made.write_bytes(archives.packed(archives.unpacked(made.read_bytes()), epoch))
    return made


def chart(source: Path, version: str, epoch: int, folder: Path) -> Path:
    """The chart as ``helm install`` takes it: `daemonset/` with the chart's name."""
    made = folder / f"nvtopo-chart-{version}.tgz"
    made.write_bytes(archives.packed(archives.below(source / "daemonset", "nvtopo"), epoch))
    return made


def bill_of_materials(source: Path, version: str, folder: Path) -> Path:
    """The Python packages that are installed with the wheel and its extras, by version and hash: CycloneDX."""
    made = folder / f"nvtopo-{version}.cdx.json"
    program = Path(sys.prefix) / "bin" / "cyclonedx-py"
    words = ("requirements", "--output-reproducible", "--output-file", str(made))
    run(str(program), *words, str(source / "image" / "requirements.txt"))
    return made


def image(folder: Path, key: Path | None) -> None:
    """The image of both platforms with the list of what is in it, as `make image` builds it."""
    words = () if key is None else ("--key", str(key))
    run(sys.executable, "-m", "image", str(folder), *words, environment={"PYTHONPATH": str(REPOSITORY)})


def _hook(hook: str, source: Path, epoch: int, folder: Path) -> Path:
    before = set(folder.iterdir())
    environment = {"SOURCE_DATE_EPOCH": str(epoch), "PYTHONPATH": os.pathsep.join(("", *sys.path[1:]))}
    run("env", f"--chdir={source}", sys.executable, "-c", _HOOKS, hook, str(folder), environment=environment)
    (made,) = set(folder.iterdir()) - before
    return made
