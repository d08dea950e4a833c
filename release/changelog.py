"""The changelog's sections: one is begun for a version, and read as its notes."""

import re
from typing import Final

from release.errors import ReleaseError

_OPEN: Final = "## Unreleased\n"
_HEADING: Final = r"^## {}(?: - \d{{4}}-\d\d-\d\d)?\n(.*?)(?=^## |\Z)"


def section(changelog: str, version: str) -> str | None:
    """What it says of a version; None if it has no such section."""
    found = re.search(_HEADING.format(re.escape(version)), changelog, re.MULTILINE | re.DOTALL)
    return None if found is None else f"{found[1].strip()}\n"


def begun(changelog: str, version: str, day: str) -> str:
    """The changelog with all that is unreleased under the version."""
    if not (section(changelog, "Unreleased") or "").strip():
        raise ReleaseError(f'CHANGELOG.md has nothing under "## Unreleased": {version} would change nothing')
    return changelog.replace(_OPEN, f"{_OPEN}\n## {version} - {day}\n", 1)
