"""Archives of which the same content gives the same bytes, and the checksums of files."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_DIGEST: Final = "sha256"


def packed(files: Mapping[str, bytes], epoch: int) -> bytes:
    """A tar.gz in which each file has that time and no owner."""
    unpacked = io.BytesIO()
    with tarfile.open(fileobj=unpacked, mode="w", format=tarfile.PAX_FORMAT) as opened:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), 0o644, epoch
            opened.addfile(member, io.BytesIO(content))
    return gzip.compress(unpacked.getvalue(), mtime=epoch)


def unpacked(archive: bytes) -> dict[str, bytes]:
    """The regular files of a tar.gz."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        sources = {member.name: opened.extractfile(member) for member in opened if member.isreg()}
        return {name: source.read() for name, source in sources.items() if source is not None}


def below(folder: Path, prefix: str) -> dict[str, bytes]:
    """All files of a folder, by their names below the prefix."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {f"{prefix}/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in files}


def sums(files: Mapping[str, Path]) -> str:
    """As ``sha256sum --check`` reads it."""
    return "".join(f"{_digest(path)}  {name}\n" for name, path in sorted(files.items()))


def _digest(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, _DIGEST).hexdigest()
