"""`python -m release VERSION`: everything that a release has, in build/release; the first run writes the version.

If the repository has another version, or no section of the changelog for it, they are written and the command ends with
status 1: review and commit, then run it again. It changes no tag unless --tag is given.
"""

import argparse
import datetime as dt
import sys
import tempfile
from pathlib import Path
from typing import Final

import nvtopo
from image.tools import ImageError
from release import archives, build, changelog, published
from release.errors import ReleaseError
from release.version import PLACES, is_version, replaced

_CHANGELOG: Final = build.REPOSITORY / "CHANGELOG.md"
_SUMS: Final = "SHA256SUMS"
_NOTES: Final = "NOTES.md"


def main(arguments: list[str]) -> int:
    """Exit status: 1 after the version was written, 2 for what is no version, 3 if something can't be built."""
    parser = argparse.ArgumentParser(prog="python -m release", description=__doc__)
    parser.add_argument("version", help="three numbers, such as 1.2.0")
    parser.add_argument("--folder", type=Path, default=Path("build/release"))
    parser.add_argument("--tag", action="store_true", help="tag the commit, once all is built")
    parser.add_argument("--without-image", action="store_true", help="no image, which is built as root")
    parser.add_argument("--url", help="the repository's address: README and alerts link to the tag there")
    parser.add_argument("--key", type=Path, help="signs the image (docs/supply-chain.md)")
    given = parser.parse_args(arguments)
    if not is_version(given.version):
        sys.stderr.write(
            f"release: {given.version!r} is no version, expected three numbers: make release VERSION=1.2.0\n"
        )
        return 2
    try:
        written = prepare(given.version)
        if written:
            say(f"wrote {given.version} to {written} files: review and commit, then run this again")
            return 1
        publish(given.version, given.folder, None if given.without_image else (given.key,), given.url)
        tag = f"v{given.version}"
        if given.tag:
            build.git("tag", "--annotate", tag, "--message", f"nvtopo {given.version}")
        say(f"next: {'' if given.tag else f'git tag --annotate {tag} && '}git push origin {tag}")
    except (ReleaseError, ImageError) as error:
        sys.stderr.write(f"release: {error}\n")
        return 3
    return 0


def prepare(version: str) -> int:
    """Writes the version and its section of the changelog; how many files that changed."""
    written = 0
    names = build.git("ls-files", "--", *PLACES).splitlines()
    for path in [build.REPOSITORY / name for name in names if not name.endswith(".png")]:
        written += _write(path, replaced(path.read_text(encoding="utf-8"), nvtopo.__version__, version))
    text = _CHANGELOG.read_text(encoding="utf-8")
    if changelog.section(text, version) is None:
        today = dt.datetime.now(dt.UTC).date().isoformat()
        written += _write(_CHANGELOG, changelog.begun(text, version, today))
    return written


def publish(version: str, folder: Path, image: tuple[Path | None] | None, url: str | None = None) -> None:
    """Builds all of it into the folder, whole or not at all; the image unless it is None, signed if it has a key."""
    address = published.base(url) if url else None
    if changed := build.git("status", "--porcelain"):
        raise ReleaseError(f"{len(changed.splitlines())} files differ from the commit: commit them first")
    if folder.exists():
        raise ReleaseError(f"{folder} exists: remove it first")
    folder.parent.mkdir(parents=True, exist_ok=True)
    commit, epoch = build.git("log", "-1", "--format=%H %ct").split()
    say(f"building {version} of {commit}")
    with tempfile.TemporaryDirectory(dir=folder.parent.resolve(), prefix="release-") as temporary:
        source, made = Path(temporary) / "source", Path(temporary) / "made"
        made.mkdir()
        build.export(commit, source)
        if address is None:
            say("README and alerts keep paths, which open on no package index: URL=https://HOST/OWNER/NAME")
        else:
            published.apply(source, address, f"v{version}")
        build.all_of(source, version, int(epoch), made)
        notes = changelog.section((source / _CHANGELOG.name).read_text(encoding="utf-8"), version)
        (made / _NOTES).write_text(notes or "", encoding="utf-8")
        if image is None:
            say("left out: the image (--without-image)")
        else:
            build.image(made, *image)
        sums = archives.sums({path.name: path for path in made.iterdir()})
        (made / _SUMS).write_text(sums, encoding="utf-8")
        made.rename(folder)
    for line in sums.splitlines():
        say(line)


def _write(path: Path, text: str) -> bool:
    """Was the file another?"""
    if path.read_text(encoding="utf-8") == text:
        return False
    path.write_text(text, encoding="utf-8")
    return True


def say(line: str) -> None:
    """A line of progress for the person at the terminal."""
    sys.stderr.write(f"release: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
