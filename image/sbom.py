"""What is in the image, as CycloneDX: Debian's packages and their sources by debsbom, Python's by cyclonedx-bom."""

import sys
import tempfile
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from image.tools import ImageError, run

#: Changes with what is written.
VERSION: Final = 2
_SCHEMA: Final = "1.7"
_SUFFIX: Final = ".cdx.json"


def write(root: Path, version: str, epoch: int, file: Path) -> None:
    """The list of all packages of the image whose files lie in `root`; the same bytes for the same image."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        debian, python = folder / f"debian{_SUFFIX}", folder / f"python{_SUFFIX}"
        scripts = Path(sys.prefix) / "bin"
        common = ("--cdx-schema-version", _SCHEMA, "--sbom-type", "cdx", *_stamp(version, epoch))
        run(str(scripts / "debsbom"), "generate", *common, "--root", str(root), "--out", str(debian))
        run(
            *(str(scripts / "cyclonedx-py"), "environment", str(_sight(root, folder))),
            *("--spec-version", _SCHEMA, "--output-reproducible", "--output-file", str(python)),
            *("--pyproject", str(_owner(folder))),
        )
        names = ("--distro-name", "nvtopo", "--distro-version", version)
        run(
            str(scripts / "debsbom"),
            "merge",
            *common,
            *names,
            "--omit-roots",
            "--out",
            str(file),
            str(debian),
            str(python),
        )


def _stamp(version: str, epoch: int) -> tuple[str, ...]:
    moment = datetime.fromtimestamp(epoch, UTC).isoformat()
    serial = uuid.uuid5(uuid.NAMESPACE_URL, f"nvtopo:{version}@{epoch}")
    return ("--timestamp", moment, "--cdx-serialnumber", str(serial))


def _sight(root: Path, folder: Path) -> Path:
    """An empty Python environment that sees the image's packages: the image's own interpreter would look into ours."""
    environment = folder / "sight"
    run(sys.executable, "-m", "venv", "--without-pip", str(environment))
    packages = sorted(root.glob("opt/nvtopo/lib/python3*/site-packages"))
    if not packages:
        raise ImageError("the image has no /opt/nvtopo/lib/python3*/site-packages: the Dockerfile puts it there")
    (target,) = environment.glob("lib/python3*/site-packages")
    (target / "image.pth").write_text("".join(f"{path}\n" for path in packages), encoding="utf-8")
    return environment / "bin" / "python"


def _owner(folder: Path) -> Path:
    """A project for the packages to belong to: a list without one is refused by what joins lists."""
    file = folder / "pyproject.toml"
    file.write_text('[project]\nname = "environment"\nversion = "0"\n', encoding="utf-8")
    return file
