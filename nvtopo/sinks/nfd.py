"""Node Feature Discovery's feature file: ``features.d/nvtopo``, one ``name=value`` a line, with an expiry time.

NFD's worker reads every file there once a minute and drops the labels of an expired one, so a dead agent's labels go
away by themselves (NFD documentation, "local feature source"). Lines are cut by NFD at 64 KiB a file.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from nvtopo.sinks.files import replace_file

FILE_NAME = "nvtopo"
FEATURES_D = Path("/etc/kubernetes/node-feature-discovery/features.d")
_LARGEST_BYTES = 64 << 10


def render(labels: Mapping[str, str], *, expires: datetime | None = None) -> str:
    """The file's text; labels in order of their names."""
    lines = ["# Written by nvtopo. Changes are overwritten."]
    if expires is not None:
        lines.append(f"# +expiry-time={expires.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    lines += [f"{name}={value}" for name, value in sorted(labels.items())]
    text = "\n".join(lines) + "\n"
    assert len(text.encode()) <= _LARGEST_BYTES
    return text


def write(directory: Path, text: str) -> None:
    """Replace the feature file.

    Raises:
        ReadError: the directory is missing, read-only or full; the old file stands.
    """
    replace_file(directory / FILE_NAME, text.encode())
