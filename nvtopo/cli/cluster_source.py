"""Where a command gets the cluster from: files, an aggregator, or the API server."""

import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from nvtopo.cli.common_options import kubeconfig_option
from nvtopo.cli.paths import FilePath
from nvtopo.errors import ReadError, UsageError
from nvtopo.model.formats.elapsed import elapsed

if TYPE_CHECKING:
    from nvtopo.aggregator.fleet import Fleet
    from nvtopo.cluster.graph import ClusterGraph
    from nvtopo.exporters.document import GraphDocument

_LARGEST_TOKEN_BYTES = 1 << 16
_AGE = re.compile("[0-9]{1,9}")

_FROM = click.option(
    "--from",
    "directory",
    type=FilePath(exists=True, path_type=Path),
    help="Read a file, or a folder and its folders: captures, resources, other tools' output, files of the network.",
)
_SERVER = click.option("--server", metavar="URL", help="Ask an aggregator, such as http://127.0.0.1:8080.")
_TOKEN_FILE = click.option(
    "--token-file",
    type=FilePath(exists=True, dir_okay=False, path_type=Path),
    help="File with the bearer token for --server, from `kubectl create token ACCOUNT --audience nvtopo`.",
)


def options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say where the cluster comes from; the command gets them as its ``source``."""

    @wraps(command)
    def with_source(
        directory: Path | None, server: str | None, token_file: Path | None, kubeconfig: Path | None, **others: Any
    ) -> None:
        command(source=ClusterSource(directory, server, token_file, kubeconfig), **others)

    decorated: Callable[..., None] = with_source
    for option in (kubeconfig_option, _TOKEN_FILE, _SERVER, _FROM):
        decorated = option(decorated)
    return decorated


class ClusterSource(NamedTuple):
    """Where the cluster comes from."""

    directory: Path | None
    server: str | None
    token_file: Path | None
    kubeconfig: Path | None

    def checked(self, verb: str) -> "ClusterSource":
        """The same, if it is one source.

        Raises:
            UsageError: it is several.
        """
        places = (("--from", self.directory), ("--server", self.server), ("--kubeconfig", self.kubeconfig))
        given = [name for name, value in places if value]
        if len(given) > 1:
            raise UsageError(f"{verb}: expected one source, got {' and '.join(given)}")
        if self.token_file and not self.server:
            raise UsageError(f"{verb}: --token-file needs --server")
        return self


def document(source: ClusterSource) -> "GraphDocument":
    """The graph as a document. If it is old, standard error says so."""
    if source.server:
        dated = fetched(source.server, token(source.token_file))
        if dated.age_seconds:
            since = elapsed(dated.age_seconds)
            click.echo(f"nvtopo: {source.server}: stale: its API server has not answered for {since}", err=True)
        return dated.graph
    from nvtopo.exporters.document import of

    return of(_with_drift(graph(source)))


def graph(source: ClusterSource) -> "ClusterGraph":
    """The graph itself, of files or of the API server."""
    from nvtopo.cluster.graph import build
    from nvtopo.cluster.inventory import Inventory, fold

    gathered = _gathered(source.directory, source.kubeconfig)
    return build(fold(Inventory(), gathered.listed), None, gathered.readings)


def _with_drift(found: "ClusterGraph") -> "ClusterGraph":
    """The graph, and what differs between machines that should be alike."""
    from nvtopo.cluster.drift_fleet import at_once
    from nvtopo.cluster.graph import build
    from nvtopo.cluster.inventory import Drifted, fold

    inventory = found.standing.inventory
    drift = at_once(found)
    if inventory is None or not drift:
        return found
    return build(fold(inventory, Drifted(drift)), found, found.standing.placed.readings)


def _gathered(directory: Path | None, kubeconfig: Path | None) -> "Fleet":
    from nvtopo.aggregator import fleet

    if directory is not None:
        return fleet.read(directory)
    from nvtopo.kube.client import connect
    from nvtopo.kube.reader import Reader

    with connect(kubeconfig) as client:
        return fleet.Fleet(Reader(client).list())


def token(file: Path | None) -> str:
    """The bearer token in a file; empty without one."""
    if file is None:
        return ""
    from nvtopo.wire.files import read_file

    found = read_file(file, _LARGEST_TOKEN_BYTES).strip()
    if not found:
        raise ReadError(f"{file}: expected a token, got an empty file")
    if not found.isascii() or not found.decode("ascii", "replace").isprintable():
        raise ReadError(f"{file}: expected a token in printable ASCII, got other bytes")
    return found.decode("ascii", "replace")


def get(source: ClusterSource, path: str) -> tuple[str, bytes]:
    """What an aggregator answers to a path, and its URL."""
    url = f"{(source.server or '').rstrip('/')}{path}"
    return url, _get(url, token(source.token_file))


class Dated(NamedTuple):
    """A graph that an aggregator serves, and how old it may be: for as long as its API server has not answered."""

    graph: "GraphDocument"
    age_seconds: int
    """0: it is followed."""


def fetched(server: str, token: str) -> Dated:
    """The graph that an aggregator serves."""
    from nvtopo.exporters import document
    from nvtopo.wire import pull

    url = checked_url(f"{server.rstrip('/')}/v1/graph")
    with pull.opened(url, token) as answer:
        age = answer.headers.get("Age", "")
        return Dated(document.decode(pull.body(url, answer), url), int(age) if _AGE.fullmatch(age) else 0)


def _get(url: str, token: str) -> bytes:
    from nvtopo.wire import pull

    return pull.get(checked_url(url), token)


def checked_url(url: str) -> str:
    """The URL of an aggregator.

    Raises:
        UsageError: it is none.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"--server: expected a URL such as http://127.0.0.1:8080, got {url!r}")
    return url
