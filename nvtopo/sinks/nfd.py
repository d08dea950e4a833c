"""Node Feature Discovery's feature file: ``features.d/nvtopo``, one ``name=value`` a line, with an expiry time.

NFD's worker reads every file there once a minute and drops the labels of an expired one, so a dead agent's labels go
away by themselves (NFD documentation, "local feature source"). Lines are cut by NFD at 64 KiB a file.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nvtopo.model.derive import derive
from nvtopo.model.features import features
from nvtopo.model.node import NodeTopology
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


class FeatureFile:
    """The sink: writes on change, and renews the expiry time while the facts hold."""

    name = "nfd"

    def __init__(self, directory: Path, lifetime: timedelta, now: Callable[[], datetime]) -> None:
        self._directory = directory
        self._lifetime = lifetime
        self._now = now
        self._written: Mapping[str, str] | None = None
        self._renew_at = datetime.min.replace(tzinfo=UTC)

    def write(self, topology: NodeTopology) -> None:
        """Replace the file if a label changed, the file is gone, or half of its lifetime has passed.

        Raises:
            ReadError: the directory is missing, read-only or full.
        """
        labels, now = features(topology, derive(topology)), self._now()
        clock_went_back = self._renew_at > now + self._lifetime
        if labels == self._written and now < self._renew_at and not clock_went_back and self._exists():
            return
        write(self._directory, render(labels, expires=now + self._lifetime))
        self._written, self._renew_at = labels, now + self._lifetime / 2

    def _exists(self) -> bool:
        return (self._directory / FILE_NAME).exists()
