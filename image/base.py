"""The image's base where no registry is asked: Debian's minimal system, put together from Debian's packages.

It has the packages and the missing manual pages of Debian's image of that name. The Dockerfile gets it by digest.
"""

import hashlib
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from image.platforms import HOST, Platform
from image.tools import Buildah, ImageError, run

_NAME: Final = "docker.io/library/debian:bookworm-slim"
SUITE: Final = "bookworm"
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_MMDEBSTRAP: Final = (
    "mmdebstrap",
    "--quiet",
    "--mode=root",
    "--variant=minbase",
    # What debootstrap gives, and without it perl comes along for a package that merges /usr.
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    "--include=usr-is-merged",
    '--aptopt=Apt::Install-Recommends "false"',
    *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("man", "locale", "info", "groff", "lintian")),
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
)


def name(platform: Platform) -> str:
    """What it is called in the store."""
    return _NAME if platform == HOST else f"localhost/debian-{platform.architecture}:{SUITE}-slim"


def reference(buildah: Callable[..., str], platform: Platform) -> str:
    """The one in the store by the digest of its manifest: NAME@sha256:…, which the Dockerfile demands."""
    found = buildah("inspect", "--type", "image", "--format", "{{.FromImageDigest}}", name(platform))
    if not _DIGEST.fullmatch(found):
        raise ImageError(f"{name(platform)}: expected the digest of the base, got {found!r}")
    return f"{name(platform).rpartition(':')[0]}@{found}"


def digest() -> str:
    """All that decides the base but Debian's own state."""
    return hashlib.sha256(repr((_NAME, SUITE, _MMDEBSTRAP)).encode()).hexdigest()[:16]


def make(buildah: Buildah, platform: Platform) -> None:
    """Puts it into the store. Another machine's packages are set up under emulation (`image.emulation`)."""
    with tempfile.TemporaryDirectory() as temporary:
        archive = Path(temporary) / "base.tar"
        words = (*_MMDEBSTRAP, f"--arch={platform.architecture}", SUITE, str(archive), "-")
        run(*words, stdin=_sources(), environment={"SOURCE_DATE_EPOCH": "0"})
        container = buildah("from", *platform.words, "scratch")
        try:
            buildah("add", "--quiet", container, str(archive), "/")
            buildah("config", *platform.words, "--cmd", "bash", container)
            buildah("commit", "--quiet", "--timestamp", "0", container, name(platform))
        finally:
            buildah("rm", container)


def _sources() -> str:
    """Lines of sources.list, by the mirrors that this machine's apt uses for Debian."""
    query = ("apt-get", "indextargets", "--format", "$(ORIGIN) $(COMPONENT) $(REPO_URI)", "Created-By: Packages")
    listed = run(*query)
    if not listed:
        run("apt-get", "update", "-qq")
        listed = run(*query)
    mirrors = [line.split(" ")[2].rstrip("/") for line in listed.splitlines() if line.startswith("Debian main ")]
    plain = next((mirror for mirror in mirrors if not mirror.endswith("-security")), None)
    if plain is None:
        raise ImageError("the base is put together from Debian's packages: this machine's apt knows no Debian mirror")
    security = next((mirror for mirror in mirrors if mirror.endswith("-security")), f"{plain}-security")
    suites = ((plain, SUITE), (plain, f"{SUITE}-updates"), (security, f"{SUITE}-security"))
    return "".join(f"deb {mirror} {suite} main\n" for mirror, suite in suites)
