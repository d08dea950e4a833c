"""The image by its Dockerfile, once for each content: an OCI archive, its figures, and the list of what is in it."""

import contextlib
import functools
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
from image import base, emulation, sbom
from image.platforms import ALL, HOST, Platform
from image.provenance import Source
from image.tools import Buildah, ImageError, run
from tests import build_cache
from tests.build_cache import Report, locked

REPOSITORY: Final = Path(__file__).resolve().parents[1]
CACHE: Final = build_cache.CACHE / "image"
#: What the manifests in daemonset/ ask for, as containerd and Docker spell it.
NAME: Final = f"docker.io/library/nvtopo:{nvtopo.__version__}"
_ARCHIVE: Final = "nvtopo.oci.tar"
_SBOM: Final = "nvtopo.cdx.json"
_FIGURES: Final = "figures.json"

#: Finished images that stay, and images of the store (one for each instruction) above which leftovers go: about 4 GB.
_KEPT: Final = 4
_IMAGES: Final = 90


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


def ensure(report: Report, platform: Platform | None = HOST) -> Image:
    """The image of what is in this folder now for that machine, built where it is missing."""
    if os.geteuid() != 0:
        raise ImageError("the image is built as root: its base is put together in a chroot")
    if HOST is None or platform is None:
        raise ImageError("the image is built on amd64 or arm64")
    image = Image(CACHE / f"image-{_digest(context())}-{platform.architecture}")
    if not image.folder.is_dir():
        what = f"image for {platform.architecture}"
        with locked("image", "the image", report), emulation.of(platform), _timed(what, report):
            store, epoch = _store(report, platform), source_date_epoch()
            identity = _built(store, platform, epoch)
            _finish(store, identity, epoch, image.folder)
    return image


@contextlib.contextmanager
def opened(platform: Platform, report: Report) -> Iterator[Callable[..., str]]:
    """The image's own container, under emulation if its machine is another: runs a program, gives what it prints."""
    ensure(report, platform)
    with locked("image", "the image", report), emulation.of(platform):
        store = _store(report, platform)
        container = store("from", *platform.words, "--pull-never", _local(platform))
        try:
            yield functools.partial(store, "run", "--isolation", "chroot", container, "--")
        finally:
            store("rm", container)


def rebuilt(image: Image, report: Report) -> tuple[str, str]:
    """The identities of two builds of one content, the second from nothing.

    Where Debian has new packages since the image was built, both are from nothing. Remembered for each content but
    nvtopo's own source, which is copied and does not decide over reproducibility.
    """
    digest = _digest([path for path in context() if "nvtopo" not in path.relative_to(REPOSITORY).parts])
    memory = CACHE / f"rebuilt-{digest}.json"
    if not memory.is_file() and HOST is not None:
        with locked("image", "the image", report), _timed("image from nothing", report):
            store = _store(report, HOST)
            arguments = (*_arguments(store, image.figures.source_date_epoch, HOST), "--no-cache")
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


def _built(store: Buildah, platform: Platform, epoch: int) -> str:
    """The image's identity.

    Debian's buildah has one machine for all stages of a build. So for another machine, the stage that builds is built
    as this machine's, is then called the other's, and stands in for the stage of its name.
    """
    arguments = _arguments(store, epoch, platform)
    if platform != HOST and HOST is not None:
        native = ("--build-arg", f"TARGETARCH={platform.architecture}", "--target", "build")
        stage = store.build(REPOSITORY, *_arguments(store, epoch, HOST), *native)
        name = f"localhost/nvtopo-build-{platform.architecture}"
        container = store("from", "--pull-never", stage)
        try:
            store("config", *platform.words, container)
            store("commit", "--quiet", "--timestamp", str(epoch), container, name)
        finally:
            store("rm", container)
        arguments += ("--build-context", f"build=container-image://{name}")
    return store.build(REPOSITORY, *arguments, "--tag", _local(platform))


def _local(platform: Platform) -> str:
    return f"localhost/nvtopo-{platform.architecture}:{nvtopo.__version__}"


def _store(report: Report, *platforms: Platform) -> Buildah:
    """A store that holds the bases: this machine's, on which everything is built, and those of the given ones."""
    folder = CACHE / f"store-{base.digest()}"
    folder.mkdir(exist_ok=True)
    store = Buildah(folder)
    store.clear(_IMAGES)
    for platform in {HOST, *platforms} - {None}:
        if platform and not store.has(base.name(platform)):
            with _timed(f"base of {base.SUITE} for {platform.architecture}", report):
                base.make(store, platform)
    return store


def _arguments(store: Buildah, epoch: int, platform: Platform) -> tuple[str, ...]:
    return (
        *platform.words,
        *("--timestamp", str(epoch), "--build-arg", f"SOURCE_DATE_EPOCH={epoch}"),
        *("--build-arg", f"BASE={base.reference(store, platform)}"),
        *(("--build-arg", f"BUILD_BASE={base.reference(store, HOST)}") if HOST else ()),
        # Over a folder that the base has: a mount leaves nothing behind in a layer.
        *("--volume", f"{_home()}:/root:ro"),
    )


def source_date_epoch() -> int:
    """When what is built was last changed, by git; 0 outside of a repository."""
    try:
        return int(_git("log", "-1", "--format=%ct", "--", *_names()))
    except (ImageError, ValueError):
        return 0


def source() -> Source:
    """What an image of this moment is built of."""
    try:
        commit = "" if _git("status", "--porcelain", "--", *_names()) else _git("rev-parse", "HEAD")
    except ImageError:
        commit = ""
    files = {name: hashlib.sha256((REPOSITORY / name).read_bytes()).hexdigest() for name in _names()}
    return Source(commit, source_date_epoch(), files)


def bases(report: Report) -> dict[str, str]:
    """The images that those of all platforms are built upon: name and digest."""
    with locked("image", "the image", report):
        store = _store(report, *ALL)
        query = ("inspect", "--type", "image", "--format", "{{.FromImageID}}")
        return {base.name(each): f"sha256:{store(*query, base.name(each))}" for each in ALL}


def _names() -> list[str]:
    return [path.relative_to(REPOSITORY).as_posix() for path in context()]


def _git(*arguments: str) -> str:
    return run("git", "-C", str(REPOSITORY), *arguments)


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
