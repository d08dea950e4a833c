"""A bundle for support: documents of a cluster or a node in one archive, scrubbed, bounded, deterministic."""

import gzip
import hashlib
import tarfile
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any, Final, NamedTuple

import msgspec

from nvtopo.model.records.record import Record
from nvtopo.reports.scrub import Scrubber

#: The member that says what the archive is, and what is in it.
MANIFEST: Final = "MANIFEST.json"
NODES: Final = "nodes/"
FORMAT: Final = "nvtopo-bundle"
VERSION: Final = 1
#: As much of one file is read back (``nvtopo.sources.foreign.sysfs_unpacked``).
_LARGEST_NODE_BYTES: Final = 1 << 20
_MOST_BYTES: Final = 64 << 20
_MOST_NODES: Final = 4096
_DIGEST_BYTES: Final = 16


class Contents(NamedTuple):
    """What goes into a bundle."""

    documents: Mapping[str, Any]
    """Member → document, as builtins: ``graph.json``."""
    nodes: Mapping[str, Any]
    """Node → its capture or its object, as builtins."""
    names: Iterable[str] = ()
    """Further names of nodes that stand in the documents."""
    problems: Iterable[str] = ()
    """What could not be had, and why."""


class _File(Record, frozen=True, kw_only=True):
    bytes: int
    digest: str


class _Manifest(Record, frozen=True, kw_only=True, omit_defaults=False):
    format: str
    version: int
    nvtopo: str
    scrubbed: bool
    files: dict[str, _File]
    left_off: dict[str, str]
    """Member → why it is not there."""
    problems: tuple[str, ...]


class Bundle(NamedTuple):
    """The archive, and what it says of itself."""

    content: bytes
    files: tuple[str, ...]
    left_off: Mapping[str, str]
    problems: tuple[str, ...]


def made(contents: Contents, nvtopo: str, *, scrubbed: bool = True) -> Bundle:
    """The archive of these documents; ``nvtopo`` is the version that wrote it."""
    scrubber = _scrubber(contents) if scrubbed else None
    files, left_off = _bounded(contents, scrubber)
    problems = tuple(scrubber.text(problem) if scrubber else problem for problem in contents.problems)
    manifest = _Manifest(
        format=FORMAT,
        version=VERSION,
        nvtopo=nvtopo,
        scrubbed=scrubbed,
        files={name: _File(bytes=len(content), digest=_digest(content)) for name, content in files.items()},
        left_off=left_off,
        problems=problems,
    )
    return Bundle(_archive({MANIFEST: _text(msgspec.to_builtins(manifest))} | files), tuple(files), left_off, problems)


def _scrubber(contents: Contents) -> Scrubber:
    documents = [contents.documents[name] for name in sorted(contents.documents)]
    nodes = [contents.nodes[name] for name in sorted(contents.nodes)]
    return Scrubber([*nodes, *documents], {*contents.names, *contents.nodes})


def _bounded(contents: Contents, scrubber: Scrubber | None) -> tuple[dict[str, bytes], dict[str, str]]:
    """The files that fit, and why others are not there: first what is of the cluster, then node by node."""
    files: dict[str, bytes] = {}
    left_off: dict[str, str] = {}
    room = _MOST_BYTES
    for name, document in sorted(contents.documents.items()):
        content = _text(scrubber.built(document) if scrubber else document)
        if len(content) > room:
            left_off[name] = f"{len(content)} bytes, and {room} were left"
        else:
            files[name] = content
            room -= len(content)
    for number, (node, document) in enumerate(sorted(contents.nodes.items())):
        name = f"{NODES}{_file_name(scrubber.name(node) if scrubber else node)}.json"
        if number >= _MOST_NODES:
            left_off[name] = f"more than {_MOST_NODES} nodes: name those that it is about"
            continue
        content = _text(scrubber.built(document) if scrubber else document)
        if len(content) > min(room, _LARGEST_NODE_BYTES):
            left_off[name] = f"{len(content)} bytes, and {min(room, _LARGEST_NODE_BYTES)} may be"
        else:
            files[name] = content
            room -= len(content)
    return files, left_off


def _file_name(node: str) -> str:
    """A name that is a file's: without slashes, and not hidden."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in node).lstrip(".")[:200] or "_"


def _text(document: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document, order="deterministic"), indent=1) + b"\n"


def _digest(content: bytes) -> str:
    return f"blake2b:{hashlib.blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()}"


def _archive(files: Mapping[str, bytes]) -> bytes:
    """A packed tar without times, owners and modes of its own."""
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)
