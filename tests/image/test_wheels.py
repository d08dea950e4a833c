"""The image's packages from a folder of wheels, by hash: no network is needed, and a changed wheel is refused."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

from image import build, platforms
from image.platforms import Platform

pytestmark = [pytest.mark.image, pytest.mark.slow]

REQUIREMENTS: Final = build.REPOSITORY / "image" / "requirements.txt"
ALONE: Final = ("unshare", "--map-root-user", "--net")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels of both machines, by the package index."""
    folder = tmp_path_factory.mktemp("wheels")
    for platform in platforms.ALL:
        done = pip("download", "--dest", str(folder), *words(platform))
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("platform", platforms.ALL, ids=lambda each: each.architecture)
def test_installing_needs_no_network(wheels: Path, tmp_path: Path, platform: Platform) -> None:
    done = install(wheels, tmp_path / "target", platform)
    assert done.returncode == 0, done.stderr
    (compiled,) = (tmp_path / "target" / "msgspec").glob("_core*.so")
    assert platform.machine in compiled.name


def test_a_changed_wheel_is_refused(wheels: Path, tmp_path: Path) -> None:
    changed = tmp_path / "wheels"
    shutil.copytree(wheels, changed)
    (wheel,) = changed.glob("click-*.whl")
    with zipfile.ZipFile(wheel, "a") as opened:
        opened.writestr("click/more.py", "print('not the maker's')")
    done = install(changed, tmp_path / "target", platforms.ALL[0])
    assert done.returncode != 0
    assert re.search(r"(?s)DO NOT MATCH THE HASHES.*click==", done.stderr)
    assert not (tmp_path / "target" / "click").exists()


def test_a_package_without_a_hash_is_refused(wheels: Path, tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(
        re.sub(r"(?m)^(h11==\S+) \\\n(    --hash=\S+(?: \\)?\n)+", r"\1\n", REQUIREMENTS.read_text())
    )
    assert requirements.read_text() != REQUIREMENTS.read_text()
    done = install(wheels, tmp_path / "target", platforms.ALL[0], requirements)
    assert done.returncode != 0
    assert "h11==" in done.stderr


def words(platform: Platform, requirements: Path = REQUIREMENTS) -> tuple[str, ...]:
    """Which wheels pip takes: those that the Dockerfile takes."""
    tags = (f"manylinux_2_28_{platform.machine}", f"manylinux2014_{platform.machine}")
    return (
        *("--no-deps", "--only-binary", ":all:", "--python-version", "3.11", "--implementation", "cp"),
        *(word for tag in tags for word in ("--platform", tag)),
        *("--require-hashes", "--requirement", str(requirements)),
    )


def install(
    wheels: Path, target: Path, platform: Platform, requirements: Path = REQUIREMENTS
) -> "subprocess.CompletedProcess[str]":
    given = ("--no-index", "--find-links", str(wheels), "--no-compile", "--target", str(target))
    return pip("install", *given, *words(platform, requirements), before=ALONE)


def pip(*arguments: str, before: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    # What this machine's pip is told (an index, more folders of wheels) must not help an installation without network.
    kept = {} if not before else {"PATH": os.environ["PATH"], "PIP_CONFIG_FILE": os.devnull}
    environment = {**(kept or os.environ), "PYTHONWARNINGS": "ignore"}
    command = (*before, sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
