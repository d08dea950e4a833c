"""Wheel, source distribution and chart of what git has here: built without a network, whole."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Final

import pytest

import nvtopo
from release import archives, build, published

pytestmark = pytest.mark.slow

EPOCH: Final = 1_700_000_000
URL: Final = "https://forge.example.com/team/nvtopo"
NAME: Final = f"nvtopo-{nvtopo.__version__}"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that git has, as they are now."""
    folder = tmp_path_factory.mktemp("source")
    parts = ("nvtopo", "daemonset", "image", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
    for name in build.git("ls-files", "--", *parts).splitlines():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((build.REPOSITORY / name).read_bytes())
    published.apply(folder, URL, "v1.2.0")
    return folder


@pytest.fixture(scope="module")
def made(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    build.sdist(source, EPOCH, folder)
    build.wheel(source, EPOCH, folder)
    build.chart(source, nvtopo.__version__, EPOCH, folder)
    return folder


def test_the_wheel_has_every_file_of_the_package(source: Path, made: Path) -> None:
    with zipfile.ZipFile(made / f"{NAME}-py3-none-any.whl") as wheel:
        packed = {name for name in wheel.namelist() if not name.startswith(f"{NAME}.dist-info/")}
        metadata = wheel.read(f"{NAME}.dist-info/METADATA").decode()
    assert packed == {name for name in archives.below(source / "nvtopo", "nvtopo") if "__pycache__" not in name}
    assert f"\nVersion: {nvtopo.__version__}\n" in metadata


def test_the_page_of_a_package_index_has_no_path_for_a_link(made: Path) -> None:
    with zipfile.ZipFile(made / f"{NAME}-py3-none-any.whl") as wheel:
        metadata = wheel.read(f"{NAME}.dist-info/METADATA").decode()
    assert f"\nProject-URL: Documentation, {URL}/blob/v1.2.0/docs/README.md\n" in metadata
    assert f"]({URL}/raw/v1.2.0/docs/pictures/page.png)" in metadata
    assert f"]({URL}/blob/v1.2.0/docs/upgrade.md)" in metadata
    for target in re.findall(r"\]\(([^)\s]+)\)", metadata):
        assert target.startswith((f"{URL}/", "#")), target
        path = re.sub(f"^{re.escape(URL)}/(?:blob|raw)/v1.2.0/([^#]*).*$", r"\1", target)
        assert (build.REPOSITORY / path).exists(), target


def test_the_wheel_runs_without_the_checkout(made: Path, tmp_path: Path) -> None:
    """From the archive itself, before everything else on the path."""
    wheel = made / f"{NAME}-py3-none-any.whl"
    others = [path for path in sys.path[1:] if Path(path).resolve() != build.REPOSITORY]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(wheel), *others))}
    program = (
        "import nvtopo, runpy, sys; sys.stderr.write(nvtopo.__file__); runpy.run_module('nvtopo', run_name='__main__')"
    )
    words = (sys.executable, "-c", program, "--version")
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"nvtopo, version {nvtopo.__version__}\n"
    assert done.stderr.startswith(str(wheel))


def test_the_source_distribution_gives_the_same_wheel(made: Path, tmp_path: Path) -> None:
    for name, content in archives.unpacked((made / f"{NAME}.tar.gz").read_bytes()).items():
        file = tmp_path / "source" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (tmp_path / "again").mkdir()
    again = build.wheel(tmp_path / "source" / NAME, EPOCH, tmp_path / "again")
    with zipfile.ZipFile(made / again.name) as first, zipfile.ZipFile(again) as second:
        assert {name: first.read(name) for name in first.namelist()} == {
            name: second.read(name) for name in second.namelist()
        }


def test_the_chart_is_the_folder(source: Path, made: Path) -> None:
    packed = archives.unpacked((made / f"nvtopo-chart-{nvtopo.__version__}.tgz").read_bytes())
    assert packed == archives.below(source / "daemonset", "nvtopo")
    assert {"nvtopo/Chart.yaml", "nvtopo/values.yaml", "nvtopo/templates/NOTES.txt", "nvtopo/crd.yaml"} <= packed.keys()


def test_the_chart_s_alerts_have_runbooks_that_open_from_anywhere(made: Path) -> None:
    packed = archives.unpacked((made / f"nvtopo-chart-{nvtopo.__version__}.tgz").read_bytes())
    rules = packed["nvtopo/" + published.ALERTS.relative_to("daemonset").as_posix()].decode()
    found = set(re.findall(r"runbook_url: (\S+?)#", rules))
    assert found == {f"{URL}/blob/v1.2.0/docs/runbooks.md"}


def test_members_have_the_commit_s_time_and_no_owner(made: Path) -> None:
    for file in (made / f"{NAME}.tar.gz", made / f"nvtopo-chart-{nvtopo.__version__}.tgz"):
        with tarfile.open(file) as opened:
            assert {(each.mtime, each.uid, each.uname) for each in opened} == {(EPOCH, 0, "")}
    with zipfile.ZipFile(made / f"{NAME}-py3-none-any.whl") as wheel:
        assert len({each.date_time for each in wheel.infolist()}) == 1
