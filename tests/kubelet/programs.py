"""All that the node runs, built where it is missing: Go programs, images, the NVML stand-in."""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from image import build as image
from image.build import Image
from image.tools import Buildah, run
from tests.build_cache import Report
from tests.lab import build
from tests.lab.build import NODE_FAMILIES, Binaries
from tests.nvml import build as nvml

PAUSE_NAME: Final = "localhost/nvtopo-pause:1"
_PAUSE: Final = Path(__file__).with_name("pause")
_FLAGS: Final = ("-static", "-O1", "-Wall", "-Wextra", "-Werror")


@dataclass(frozen=True)
class Programs:
    binaries: Binaries
    image: Image
    rebuilt: tuple[str, str]
    """What two builds of it are called, the second of which is from nothing."""
    pause: Path
    """An archive."""
    nvml: Path

    def write(self, file: Path) -> None:
        """For whoever runs where nothing can be built."""
        file.write_bytes(msgspec.json.encode(self, enc_hook=str))

    @classmethod
    def read(cls, file: Path) -> Self:
        return msgspec.json.decode(file.read_bytes(), type=cls, dec_hook=_path)


def _path(kind: type, value: Any) -> Any:
    return kind(value)


def ensure(report: Report) -> Programs:
    """Needs the outside, where something is missing."""
    binaries = build.ensure(report, besides=NODE_FAMILIES)
    shipped = image.ensure(report)
    return Programs(binaries, shipped, image.rebuilt(shipped, report), _pause(), nvml.library())


def _pause() -> Path:
    sources = [(_PAUSE / name).read_bytes() for name in ("pause.c", "Dockerfile")]
    digest = hashlib.sha256(b"\0".join((*sources, repr(_FLAGS).encode()))).hexdigest()[:16]
    archive = image.CACHE / f"pause-{digest}.tar"
    if not archive.is_file():
        with tempfile.TemporaryDirectory(dir=image.CACHE) as temporary:
            folder = Path(temporary)
            run("gcc", *_FLAGS, "-o", str(folder / "pause"), str(_PAUSE / "pause.c"))
            buildah = Buildah(folder / "buildah")
            identity = buildah.build(folder, "--timestamp", "0", "--file", str(_PAUSE / "Dockerfile"))
            buildah.export(identity, folder / "archive.tar", PAUSE_NAME)
            (folder / "archive.tar").rename(archive)
    return archive
