"""Node Feature Discovery's feature file: ``features.d/nvtopo``, one ``name=value`` a line, with an expiry time.

NFD's worker reads every file there once a minute and drops the labels of an expired one, so a dead agent's labels go
away by themselves (NFD documentation, "local feature source"). A file above 64 KiB it does not read at all.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nvtopo.model.derive import derive
from nvtopo.model.features import features
from nvtopo.model.node import NodeTopology
from nvtopo.sinks.files import replace_file

logger = logging.getLogger(__name__)

FILE_NAME = "nvtopo"
FEATURES_D = Path("/etc/kubernetes/node-feature-discovery/features.d")
_LARGEST_BYTES = 64 << 10


def lines(labels: Mapping[str, str]) -> str:
    """One ``name=value`` a line, in order of the names; what hooks print too."""
    return "".join(f"{name}={value}\n" for name, value in sorted(labels.items()))


def render(labels: Mapping[str, str], *, expires: datetime | None = None) -> str:
    """The file's text. Labels that NFD's limit leaves no room for are left out, the last ones first, and logged."""
    head = "# Written by nvtopo. Changes are overwritten.\n"
    if expires is not None:
        head += f"# +expiry-time={expires.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}\n"
    text = head + lines(labels)
    if len(text.encode()) <= _LARGEST_BYTES:
        return text
    fitting = text.encode()[:_LARGEST_BYTES].rpartition(b"\n")[0].decode() + "\n"
    logger.error("feature file full", extra={"left_out": text.count("\n") - fitting.count("\n")})
    return fitting


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
