"""The image by its Dockerfile, once for each content: an OCI archive, its figures, and the list of what is in it."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

import nvtopo
from image import base, sbom
from image.tools import Buildah, ImageError, run

REPOSITORY: Final = Path(__file__).resolve().parents[1]
CACHE: Final = REPOSITORY / ".cache" / "image"
#: What the manifests in daemonset/ ask for, as containerd and Docker spell it.
NAME: Final = f"docker.io/library/nvtopo:{nvtopo.__version__}"
_LOCAL: Final = f"localhost/nvtopo:{nvtopo.__version__}"
_ARCHIVE: Final = "nvtopo.oci.tar"
_SBOM: Final = "nvtopo.cdx.json"
_FIGURES: Final = "figures.json"

#: Finished images that stay, and images of the store (one for each instruction) above which leftovers go: about 4 GB.
_KEPT: Final = 3
_IMAGES: Final = 60

#: Where a line of progress goes.
Report = Callable[[str], None]


class Figures(msgspec.Struct, frozen=True):
    """What two builds of one content have in common, and how large it is."""

    image_id: str
    """The digest of the image's configuration, which names each layer by its digest."""
    unpacked_bytes: int
    archive_bytes: int
    source_date_epoch: int


@dataclass(frozen=True)
class Image:
    """A finished image, in a folder of its own."""

    folder: Path

    @property
    def archive(self) -> Path:
        """An OCI archive: `podman load`, `ctr images import`, `skopeo copy oci-archive:…`."""
        return self.folder / _ARCHIVE

    @property
    def sbom(self) -> Path:
        """CycloneDX, JSON."""
        return self.folder / _SBOM

    @property
    def figures(self) -> Figures:
        """Its identity and sizes."""
        return msgspec.json.decode((self.folder / _FIGURES).read_bytes(), type=Figures)


def ensure(report: Report) -> Image:
    """The image of what is in this folder now, built where it is missing."""
    if os.geteuid() != 0:
        raise ImageError("the image is built as root: its base is put together in a chroot")
    image = Image(CACHE / f"image-{_digest(context())}")
    if not image.folder.is_dir():
        with _locked(report), _timed("image", report):
            store, epoch = _store(report), _source_date_epoch()
            identity = store.build(REPOSITORY, *_arguments(epoch), "--tag", _LOCAL)
            _finish(store, identity, epoch, image.folder)
    return image


def rebuilt(image: Image, report: Report) -> tuple[str, str]:
    """The identities of two builds of one content, the second from nothing.

    Where Debian has new packages since the image was built, both are from nothing. Remembered for each content but
    nvtopo's own source, which is copied and does not decide over reproducibility.
    """
    digest = _digest([path for path in context() if "nvtopo" not in path.relative_to(REPOSITORY).parts])
    memory = CACHE / f"rebuilt-{digest}.json"
    if not memory.is_file():
        with _locked(report), _timed("image from nothing", report):
            store = _store(report)
            arguments = (*_arguments(image.figures.source_date_epoch), "--no-cache")
            first, second = image.figures.image_id, store.build(REPOSITORY, *arguments)
            if first != second:
                first, second = second, store.build(REPOSITORY, *arguments)
            memory.write_bytes(msgspec.json.encode((first, second)))
    return msgspec.json.decode(memory.read_bytes(), type=tuple[str, str])


def context() -> list[Path]:
    """The files that .dockerignore lets through, and the Dockerfile."""
    lines = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    given = [REPOSITORY / line[1:] for line in lines if line.startswith("!")]
    files = [file for path in given for file in (path.rglob("*") if path.is_dir() else (path,)) if file.is_file()]
    return sorted([REPOSITORY / "Dockerfile", *(file for file in files if "__pycache__" not in file.parts)])


def _digest(files: list[Path]) -> str:
    content = hashlib.sha256(f"{base.digest()} {sbom.VERSION}".encode())
    for file in files:
        name = file.relative_to(REPOSITORY).as_posix()
        content.update(f"\0{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}".encode())
    return content.hexdigest()[:16]


def _store(report: Report) -> Buildah:
    """A store that holds the base."""
    folder = CACHE / f"store-{base.digest()}"
    folder.mkdir(exist_ok=True)
    store = Buildah(folder)
    store.clear(_IMAGES)
    if not store.has(base.NAME):
        with _timed(f"base of {base.SUITE}", report):
            base.make(store)
    return store


def _arguments(epoch: int) -> tuple[str, ...]:
    return (
        *("--timestamp", str(epoch), "--build-arg", f"SOURCE_DATE_EPOCH={epoch}"),
        # Over a folder that the base has: a mount leaves nothing behind in a layer.
        *("--volume", f"{_home()}:/root:ro"),
    )


def _source_date_epoch() -> int:
    """When what is built was last changed, by git; 0 outside of a repository."""
    try:
        names = [str(path.relative_to(REPOSITORY)) for path in context()]
        return int(run("git", "-C", str(REPOSITORY), "log", "-1", "--format=%ct", "--", *names))
    except (ImageError, ValueError):
        return 0


def _home() -> Path:
    """A home directory for the build, in which pip finds this machine's certificates and index."""
    home = CACHE / "home"
    (home / ".config" / "pip").mkdir(parents=True, exist_ok=True)
    lines = ["[global]"]
    certificates = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    if certificates:
        shutil.copyfile(certificates, home / "certificates.pem")
        lines.append("cert = /root/certificates.pem")
    lines += [f"index-url = {index}" for index in (os.environ.get("PIP_INDEX_URL"),) if index]
    (home / ".config" / "pip" / "pip.conf").write_text("\n".join((*lines, "")), encoding="utf-8")
    return home


def _finish(store: Buildah, identity: str, epoch: int, folder: Path) -> None:
    """Writes archive, list and figures beside the folder and renames: a folder of that name is whole."""
    for old in sorted(CACHE.glob("image-*"), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
        unfinished = Path(temporary) / "image"
        unfinished.mkdir()
        store("push", "--quiet", identity, f"oci-archive:{unfinished / _ARCHIVE}:{NAME}")
        container = store("from", identity)
        try:
            root = Path(store("mount", container))
            sbom.write(root, nvtopo.__version__, epoch, unfinished / _SBOM)
            figures = Figures(
                image_id=identity,
                unpacked_bytes=int(run("du", "--summarize", "--bytes", str(root)).split()[0]),
                archive_bytes=(unfinished / _ARCHIVE).stat().st_size,
                source_date_epoch=epoch,
            )
            (unfinished / _FIGURES).write_bytes(msgspec.json.encode(figures))
        finally:
            store("rm", container)
        unfinished.chmod(0o755)
        unfinished.rename(folder)


@contextlib.contextmanager
def _timed(what: str, report: Report) -> Iterator[None]:
    report(f"building the {what} …")
    started = time.monotonic()
    yield
    report(f"building the {what}: {time.monotonic() - started:.0f} s")


@contextlib.contextmanager
def _locked(report: Report) -> Iterator[None]:
    """One build at a time; the kernel lets go of the lock however its holder ends."""
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE.parent / ".gitignore").write_text("*\n")
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another build of the image …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
