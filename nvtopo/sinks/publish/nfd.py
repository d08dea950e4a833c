"""Node Feature Discovery's feature file: ``features.d/nvtopo``, one ``name=value`` a line, with an expiry time.

NFD's worker reads every file there once a minute and drops the labels of an expired one, so a dead agent's labels go
away by themselves (NFD documentation, "local feature source"). A file above 64 KiB it does not read at all.
"""

import contextlib
import logging
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from nvtopo.model.conclusions.features import features
from nvtopo.model.conclusions.product_labels import product_features
from nvtopo.model.observation import Observation
from nvtopo.sinks.publish.files import replace_file
from nvtopo.sinks.publish.sink import Sink

logger = logging.getLogger(__name__)

FILE_NAME = "nvtopo"
FEATURES_D = Path("/etc/kubernetes/node-feature-discovery/features.d")
LARGEST_BYTES = 64 << 10
_EXPIRY: Final = re.compile(r"^# \+expiry-time=(.*)$", re.MULTILINE)
#: Longer than any write takes.
_ABANDONED_SECONDS: Final = 60.0


def lines(labels: Mapping[str, str]) -> str:
    """One ``name=value`` a line, in order of the names; what hooks print too."""
    return "".join(f"{name}={value}\n" for name, value in sorted(labels.items()))


def render(labels: Mapping[str, str], *, expires: datetime | None = None) -> str:
    """The file's text. Labels that NFD's limit leaves no room for are left out, the last ones first, and logged."""
    head = "# Written by nvtopo. Changes are overwritten.\n"
    if expires is not None:
        head += f"# +expiry-time={expires.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}\n"
    text = head + lines(labels)
    if len(text.encode()) <= LARGEST_BYTES:
        return text
    fitting = text.encode()[:LARGEST_BYTES].rpartition(b"\n")[0].decode() + "\n"
    logger.error("feature file full", extra={"left_out": text.count("\n") - fitting.count("\n")})
    return fitting


def expiry(text: str) -> datetime | None:
    """The expiry time of a feature file; None where it has none that can be read."""
    found = _EXPIRY.search(text)
    try:
        return datetime.fromisoformat(found[1]).astimezone(UTC) if found else None
    except (ValueError, OverflowError):
        return None


class FeatureFile(Sink):
    """The sink. It compares with the file itself, which others may change, and expects that the clock may be set."""

    name = "nfd"

    def __init__(
        self, directory: Path, lifetime: timedelta, now: Callable[[], datetime], *, product: bool = False
    ) -> None:
        """``product``: with the labels of driver, CUDA and product."""
        self._product = product
        self._directory = directory
        self._path = directory / FILE_NAME
        self._lifetime = lifetime
        self._now = now
        self._written: Mapping[str, str] | None = None

    def write(self, observation: Observation) -> None:
        """Replace the file unless it has these labels and expires in no more than its lifetime and no less than half.

        Raises:
            ReadError: the directory is missing, read-only or full; the old file stands until it expires.
        """
        labels = features(observation.topology, observation.derived)
        if self._product:
            labels |= product_features(observation.topology)
        now, found = self._now(), self._found()
        read = datetime.fromtimestamp(observation.at_seconds, UTC)
        expires = expiry(found or "")
        ours = expires is not None and found == render(labels, expires=expires)
        if ours and expires is not None and self._lifetime / 2 < expires - now <= self._lifetime:
            return
        if not ours and labels == self._written:
            logger.warning("feature file changed by others", extra={"path": str(self._path), "gone": found is None})
        self._remove_abandoned()
        replace_file(self._path, render(labels, expires=min(read, now) + self._lifetime).encode())
        self._written = labels

    def _found(self) -> str | None:
        """The file's content; None if it can't be read."""
        try:
            with self._path.open("rb") as file:
                return file.read(LARGEST_BYTES + 1).decode(errors="replace")
        except OSError:
            return None

    def _remove_abandoned(self) -> None:
        """Remove partial files of agents that were killed while writing."""
        for path in self._directory.glob(f".{FILE_NAME}.*"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                    path.unlink()
