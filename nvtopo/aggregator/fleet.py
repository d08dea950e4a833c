"""A cluster from files: captures, resources, other tools' output of hosts, and sources of the network.

One file, or a folder with all that lies below. Each file is told by its content. In a folder one that can't be read is
named, and the others stand.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from nvtopo.aggregator import fleet_documents
from nvtopo.aggregator.known import known_of
from nvtopo.cluster.claims import Reading
from nvtopo.cluster.inventory import Listed
from nvtopo.errors import ParseError, ReadError
from nvtopo.fabrics import heard, recognise
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.formats.printable import printable
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sources.capture import is_capture, parse_capture, read_input
from nvtopo.sources.foreign import bundle
from nvtopo.sources.foreign.recognise import read_hosts

_MOST_FILES: Final = 200_000
_ABOUT: Final = frozenset({"readme", "license", "notice", "provenance", "changelog"})
_EXPECTED: Final = "captures (by `nvtopo capture`), resources, other tools' output, or files of the network"


class Fleet(NamedTuple):
    """The nodes that a folder of files holds."""

    listed: Listed
    readings: Mapping[str, Reading] = MappingProxyType({})
    """Source or file → what it says of the network."""


class _Found(NamedTuple):
    """The nodes of one file."""

    nodes: Mapping[str, NodeTopology]
    unreadable: Mapping[str, str] = MappingProxyType({})
    snapshot: Snapshot | None = None
    """Of a capture, which is of one node."""


See = Callable[[str, NodeTopology, Snapshot | None], None]
"""Is told each node, with its snapshot if it is from a capture: a fleet's snapshots are too large to be kept."""


def read(path: Path, see: See | None = None, step: Callable[[int, int], None] | None = None) -> Fleet:
    """Everything in a file, or in the files of a folder and its folders. ``step`` hears how many are read, of how many.

    Raises:
        ReadError: it can't be read, or there is no file in it.
        ParseError: nothing of it can be used; the first reason.
    """
    files = list(_below(path)) if path.is_dir() else [path]
    if not files:
        raise ReadError(f"{path}: expected {_EXPECTED}, found none")
    collected = _Collected(path, see)
    for done, file in enumerate(files, 1):
        collected.add(file)
        if step is not None:
            step(done, len(files))
    return collected.fleet()


class _Collected:
    """What the files read so far hold."""

    def __init__(self, root: Path, see: See | None) -> None:
        self._root = root
        self._see = see
        self._nodes: dict[str, NodeTopology] = {}
        self._origins: dict[str, Path] = {}
        self._unreadable: dict[str, str] = {}
        self._sources: list[recognise.Recognised] = []
        self._refused: dict[str, ReadError] = {}

    def add(self, file: Path) -> None:
        """Read one file; what is wrong with it is kept."""
        try:
            content = read_input(str(file))
            members = bundle.nodes_in(content, str(file))
        except ReadError as error:
            self._refuse(file, error)
            return
        if members is None:
            self._take(file, content)
        for name, member in (members or {}).items():
            self._take(file / name, member)

    def _take(self, file: Path, content: bytes) -> None:
        try:
            found = _nodes_of(content, file)
            sources = (
                recognise.parts(recognise.Given(self._called(file), recognise.text_of(content)))
                if found is None or fleet_documents.may_hold_nodes(content)
                else []
            )
            if found is None and not sources:
                found = _foreign(content, file)
            self._sources += sources
            if found is not None:
                self._join(file, found)
        except ReadError as error:
            self._refuse(file, error)

    def _refuse(self, file: Path, error: ReadError) -> None:
        self._refused[self._called(file)] = error
        if _claims_a_node(file):
            self._unreadable.setdefault(file.stem, str(error))

    def _join(self, file: Path, found: _Found) -> None:
        for name in found.nodes:
            if name in self._origins:
                words = f"{file}: node {name!r} is in {self._origins[name]} already; a node has one capture"
                self._refused[self._called(file)] = ParseError(words)
                return
        for name, node in found.nodes.items():
            if self._see is not None:
                self._see(name, node, found.snapshot)
        self._nodes |= found.nodes
        self._origins |= dict.fromkeys(found.nodes, file)
        self._unreadable |= found.unreadable

    def fleet(self) -> Fleet:
        """All of it.

        Raises:
            ReadError: there is nothing.
        """
        readings = recognise.read(self._sources, known_of(self._nodes))
        readings |= heard.reading({name: node.neighbors for name, node in self._nodes.items() if node.neighbors})
        said = [reading for reading in readings.values() if reading.refused is None]
        if not self._nodes and not said:
            for name, reading in readings.items():
                raise ParseError(f"{self._where(name)}: {reading.refused}")
            for error in self._refused.values():
                raise error
        refused = {name: Reading(refused=_reason(error)) for name, error in self._refused.items()}
        unreadable = {name: reason for name, reason in self._unreadable.items() if name not in self._nodes}
        return Fleet(Listed(self._nodes, unreadable), {**readings, **refused})

    def _called(self, file: Path) -> str:
        """The file's name in messages: below the folder that was given."""
        return printable(str(file.relative_to(self._root))) if file != self._root else printable(file.name)

    def _where(self, name: str) -> Path:
        return self._root / name if self._root.is_dir() else self._root


def _nodes_of(content: bytes, file: Path) -> _Found | None:
    """The nodes of a capture, or of a file with resources."""
    if is_capture(content):
        snapshot = parse_capture(content, str(file))
        name = snapshot.host.name if snapshot.host is not None else ""
        if not name:
            raise ParseError(f"{file}: expected the host's name (field 'host.name'), got none")
        return _Found({name: assemble(snapshot)}, snapshot=snapshot)
    resources = fleet_documents.resources_in(content, file.stem, str(file))
    return None if resources is None else _Found(resources.nodes, resources.unreadable)


def _foreign(content: bytes, file: Path) -> _Found:
    """The hosts that other tools' output names; a host without a name has the file's, or a number."""
    hosts = read_hosts(content, str(file))
    alone = file.stem if len(hosts) == 1 else ""
    return _Found({host.name or alone or f"host-{number}": host.node for number, host in enumerate(hosts, 1)})


def _claims_a_node(file: Path) -> bool:
    """Whether a file that can't be read was meant to be a node."""
    return file.suffix.lower() == ".json"


def _reason(error: ReadError) -> str:
    """Without the file's path, which the finding names already."""
    text = str(error)
    return text.partition(": ")[2] or text


def _below(folder: Path) -> Iterator[Path]:
    """The files below a folder, by name; hidden ones are left out, and what is no regular file and claims no node."""
    return islice(_walked(folder), _MOST_FILES)


def _walked(folder: Path) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        raise ReadError(f"{error.filename}: {error.strerror}") from error

    for directory, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(_visible(folders))
        names = sorted(name for name in _visible(files) if not _is_about(name))
        paths = (Path(directory) / name for name in names)
        yield from (path for path in paths if path.is_file() or _claims_a_node(path))


def _is_about(name: str) -> bool:
    """Whether a file is for people who look into the folder: it tells of the others, and holds no machine."""
    parts = name.lower().split(".")
    return parts[0] in _ABOUT or parts[-1] in {"md", "rst", "src"}


def _visible(names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if not name.startswith("."))
