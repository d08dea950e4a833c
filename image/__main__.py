"""`python -m image FOLDER`: the image as an OCI archive, and the list of what is in it."""

import shutil
import sys
from pathlib import Path
from typing import Final

from image import build
from image.tools import ImageError

_MB: Final = 1_000_000


def main(arguments: list[str]) -> int:
    """Exit status: 3 where it cannot be built."""
    folder = Path(*arguments[:1] or ("build/image",))
    try:
        image = build.ensure(say)
    except ImageError as error:
        say(str(error))
        return 3
    folder.mkdir(parents=True, exist_ok=True)
    for file in (image.archive, image.sbom):
        shutil.copyfile(file, folder / file.name)
        sys.stdout.write(f"{folder / file.name}\n")
    figures = image.figures
    sizes = f"{figures.unpacked_bytes / _MB:.0f} MB unpacked, {figures.archive_bytes / _MB:.0f} MB as an archive"
    sys.stdout.write(f"{build.NAME} {figures.image_id}: {sizes}\n")
    return 0


def say(line: str) -> None:
    """A line of progress for the person at the terminal."""
    sys.stderr.write(f"image: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
