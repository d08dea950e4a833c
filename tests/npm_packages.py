"""Packages of npm that a test needs, pinned by a lock file; kept in ``.cache`` by what is pinned."""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import pytest

from tests import build_cache

_LOCKED: Final = ("package.json", "package-lock.json")


def installed(pins: Path, name: str) -> Path:
    """The ``node_modules`` of the pins in that folder, below a name of their own."""
    digest = hashlib.sha256(b"\0".join((pins / file).read_bytes() for file in _LOCKED)).hexdigest()[:16]
    target = build_cache.CACHE / f"{name}-{digest}"
    if not target.is_dir():
        if shutil.which("npm") is None:
            pytest.fail("npm is not installed: apt-get install -y npm", pytrace=False)
        target.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            for file in _LOCKED:
                shutil.copy(pins / file, scratch)
            quiet = ("--ignore-scripts", "--no-audit", "--no-fund")
            done = subprocess.run(("npm", "ci", *quiet), cwd=scratch, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            shutil.move(Path(scratch) / "node_modules", target)
    return target
