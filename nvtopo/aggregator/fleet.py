"""A directory of captures as a cluster: each ``*.json`` is one node, named as its host."""

from pathlib import Path

from nvtopo.cluster.inventory import Listed
from nvtopo.errors import ParseError, ReadError
from nvtopo.model.assemble import assemble
from nvtopo.model.node import NodeTopology
from nvtopo.sources.capture import read_capture


def read(directory: Path) -> Listed:
    """Every capture in the directory.

    Raises:
        ReadError: the directory or a file can't be read, or there is no capture in it.
        ParseError: a file is not a capture, names no host, or names one that another file names.
    """
    nodes: dict[str, NodeTopology] = {}
    origins: dict[str, Path] = {}
    for path in _files(directory):
        snapshot = read_capture(path)
        name = snapshot.host.name if snapshot.host is not None else ""
        if not name:
            raise ParseError(f"{path}: expected the host's name (field 'host.name'), got none")
        if name in origins:
            raise ParseError(f"{path}: node {name!r} is in {origins[name]} already; a node has one capture")
        origins[name] = path
        nodes[name] = assemble(snapshot)
    return Listed(nodes)


def _files(directory: Path) -> list[Path]:
    try:
        files = sorted(path for path in directory.iterdir() if path.suffix == ".json")
    except OSError as error:
        raise ReadError(f"{directory}: {error.strerror}") from error
    if not files:
        raise ReadError(f"{directory}: expected captures (*.json by `nvtopo capture`), found none")
    return files
