"""`python -m image [FOLDER] [--key FILE]`: the image for all platforms as an archive, and lists of what is in it."""

import argparse
import shutil
import sys
from pathlib import Path
from typing import Final

from image import build, platforms, whole
from image.signing import Key
from image.tools import ImageError

_MB: Final = 1_000_000


def main(arguments: list[str]) -> int:
    """Exit status: 3 where it cannot be built."""
    parser = argparse.ArgumentParser(prog="python -m image", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("build/image"))
    parser.add_argument("--key", type=Path, help="a private key, P-256, PEM: the image and its provenance are signed")
    given = parser.parse_args(arguments)
    try:
        key = None if given.key is None else Key(given.key)
        images = {platform.architecture: build.ensure(say, platform) for platform in platforms.ALL}
        given.folder.mkdir(parents=True, exist_ok=True)
        archive = given.folder / whole.ARCHIVE
        digest = whole.write(images, build.source(), build.bases(say), key, archive)
    except ImageError as error:
        say(str(error))
        return 3
    files = [archive]
    for architecture, image in images.items():
        files.append(given.folder / f"nvtopo.{architecture}.cdx.json")
        shutil.copyfile(image.sbom, files[-1])
    if key is not None:
        files.append(given.folder / "nvtopo.pub")
        files[-1].write_bytes(key.public())
    sys.stdout.write("".join(f"{file}\n" for file in files))
    sys.stdout.write(f"{build.NAME} {digest}{'' if key is None else ', signed'}\n")
    for architecture, image in images.items():
        figures = image.figures
        sizes = f"{figures.unpacked_bytes / _MB:.0f} MB unpacked, {figures.archive_bytes / _MB:.0f} MB as an archive"
        sys.stdout.write(f"{architecture} {figures.image_id}: {sizes}\n")
    return 0


def say(line: str) -> None:
    """A line of progress for the person at the terminal."""
    sys.stderr.write(f"image: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
