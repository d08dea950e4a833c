"""A folder of topology files, such as a mounted ConfigMap: read again when a file changes, in a thread of its own.

A file whose new version can't be used is a finding that names it. What its last good version said stays in force, and
the other files stand.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Final

from nvtopo.cluster.claims import Reading
from nvtopo.cluster.findings import NodeFinding, found
from nvtopo.errors import ReadError, reason_of
from nvtopo.fabrics import documents, recognise
from nvtopo.fabrics.fabric import NOTHING, Known
from nvtopo.fabrics.recognise import NEEDS_NODES, Given, Recognised
from nvtopo.fabrics.refused import Refused
from nvtopo.model.formats.printable import printable
from nvtopo.wire import packed
from nvtopo.wire.files import read_file

logger = logging.getLogger(__name__)

SOURCE: Final = "files"
LOOK_SECONDS: Final = 10.0
"""Between two looks at the folder. A look asks for the files' times and sizes, and reads what changed."""
MOST_FILES: Final = 1000
MOST_BYTES: Final = 64 << 20
"""Of one file."""
MOST_BYTES_IN_ALL: Final = 256 << 20
_MOST_FOLDERS: Final = 1000

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _File:
    """A file as it was read last."""

    version: Version
    parts: tuple[Recognised, ...] = ()
    """What it holds now."""
    unusable: str | None = None
    """Why it could not be read at all."""
    good: tuple[Recognised, ...] = ()
    """What it held when it was last good."""
    bytes_unpacked: int = 0
    """Of what it holds now."""


class TopologyFiles:
    """What the files of a folder say, published whenever that changes while ``run`` runs."""

    def __init__(
        self,
        folder: Path,
        known: Callable[[], Known | None],
        publish: Callable[[Mapping[str, Reading]], None],
        *,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """``known``: the cluster's nodes, None before there is a graph. What needs them waits until then."""
        self._folder = folder
        self._known = known
        self._publish = publish
        self._seconds = look_seconds
        self._files: dict[str, _File] = {}
        self._judged: tuple[Known | None, str | None] | None = None
        self._published: Mapping[str, Reading] = {}

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop`` is set."""
        while not stop.is_set():
            self.look()
            stop.wait(self._seconds)

    def look(self) -> None:
        """Read what changed, and publish what all files say if that is something else now."""
        failure, changed = None, False
        try:
            changed = self._take(dict(self._versions()))
        except OSError as error:
            failure = f"{error.strerror or error}{_in_force(bool(self._files))}"
        known = self._known() if self._needs_nodes() else NOTHING
        if not changed and self._judged == (known, failure):
            return
        self._judged = (known, failure)
        readings = self._judge(known)
        if failure is not None:
            readings[f"folder {self._folder}"] = Reading(refused=failure)
        if readings != self._published:
            self._published = readings
            self._publish(readings)

    def _versions(self) -> Iterator[tuple[str, Version]]:
        """Name below the folder → what differs when the file is written, replaced, or is a link to another.

        Raises:
            OSError: the folder can't be read.
        """
        names = list(_names(self._folder))
        if len(names) > MOST_FILES:
            raise OSError(0, f"expected at most {MOST_FILES} files, found more")
        size = 0
        for name in sorted(names):
            try:
                status = (self._folder / name).stat()
            except FileNotFoundError:  # replaced this moment: the next look sees it
                continue
            size += status.st_size
            yield name, (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
        if size > MOST_BYTES_IN_ALL:
            raise OSError(0, f"expected at most {MOST_BYTES_IN_ALL >> 20} MiB in all files, found more")

    def _take(self, versions: Mapping[str, Version]) -> bool:
        """Read the files that changed; whether any did."""
        gone = self._files.keys() - versions.keys()
        for name in gone:
            del self._files[name]
        changed = [name for name in versions if name not in self._files or self._files[name].version != versions[name]]
        for name in changed:
            before = self._files.get(name, _File(versions[name]))
            self._files[name] = self._read(name, replace(before, version=versions[name]))
        return bool(gone or changed)

    def _read(self, name: str, before: _File) -> _File:
        try:
            path = self._folder / name
            content = packed.opened(read_file(path, MOST_BYTES), str(path), min(MOST_BYTES, self._room(name)))
            text = recognise.text_of(content)
            parts = tuple(recognise.parts(Given(printable(name), text)))
        except Exception as error:  # noqa: BLE001 - whatever one file causes stays with it
            reason = str(error) if isinstance(error, ReadError) else reason_of(error)
            reason = reason.removeprefix(f"{self._folder / name}: ")
            return replace(before, parts=(), unusable=reason, bytes_unpacked=0)
        return replace(before, parts=parts, unusable=None if parts else _unknown(text), bytes_unpacked=len(content))

    def _room(self, name: str) -> int:
        """Bytes that one file may unpack to, besides what all others hold."""
        return MOST_BYTES_IN_ALL - sum(file.bytes_unpacked for other, file in self._files.items() if other != name)

    def _needs_nodes(self) -> bool:
        held = chain.from_iterable((*file.parts, *file.good) for file in self._files.values())
        return any(part.kind in NEEDS_NODES for part in held)

    def _judge(self, known: Known | None) -> dict[str, Reading]:
        """What the files say, each by its last good version."""
        findings: list[NodeFinding] = []
        in_force: list[Recognised] = []
        beside = recognise.with_neighbours(
            [part for file in self._files.values() for part in file.parts], known or NOTHING
        )
        for name, file in sorted(self._files.items()):
            parts = _waiting(file.parts, known)
            reason = file.unusable or _refusal(parts, beside)
            if reason is None:
                if len(parts) == len(file.parts):
                    self._files[name] = replace(file, good=file.parts)
                in_force += parts
                continue
            in_force += _waiting(file.good, known)
            shown = printable(name)
            findings.append(found("source", (), f"{shown}: {reason}{_in_force(bool(file.good))}", subject=shown))
        readings = _said(in_force, known or NOTHING)
        return readings | ({f"files of {self._folder}": Reading(findings=tuple(findings))} if findings else {})


def _unknown(text: str) -> str:
    """Why a text is no source: broken JSON says where it is broken."""
    try:
        if text.lstrip()[:1] in ("{", "["):
            documents.load(text)
    except Refused as error:
        return str(error)
    return "expected a source of the network (docs/topology-files.md), got something else"


def _waiting(parts: Iterable[Recognised], known: Known | None) -> list[Recognised]:
    """The parts that can be read now: without those that wait for the nodes."""
    return [part for part in parts if known is not None or part.kind not in NEEDS_NODES]


def _refusal(parts: Iterable[Recognised], known: Known) -> str | None:
    """Why a file can't be used; None if it can."""
    refusals = (reading.refused for reading in _said(list(parts), known).values())
    return next((refused for refused in refusals if refused is not None), None)


def _said(parts: Sequence[Recognised], known: Known) -> dict[str, Reading]:
    try:
        return recognise.read(parts, known)
    except Exception as error:
        logger.exception("topology files can't be read")
        return {SOURCE: Reading(refused=reason_of(error))}


def _in_force(anything: bool) -> str:  # noqa: FBT001 - the words of a message
    return "; what its last good version said stays in force" if anything else ""


def _names(folder: Path) -> Iterator[str]:
    """The files below a folder, one more than may be at most; hidden ones, as the kubelet's own, are left out."""

    def unreadable(error: OSError) -> None:
        raise error

    files = 0
    for folders, (directory, below, names) in enumerate(os.walk(folder, onerror=unreadable)):
        if folders >= _MOST_FOLDERS:
            raise OSError(0, f"expected at most {_MOST_FOLDERS} folders, found more")
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            path = Path(directory) / name
            if not name.startswith(".") and path.is_file():
                files += 1
                yield str(path.relative_to(folder))
                if files > MOST_FILES:
                    return
