"""``nvtopo graph``: the rack graph, from the API server, from an aggregator, or from a directory of captures."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nvtopo.errors import ParseError, ReadError, UsageError

if TYPE_CHECKING:
    from urllib.error import HTTPError

    from nvtopo.cluster.inventory import Listed
    from nvtopo.exporters.document import GraphDocument

_SECONDS = 10
_LARGEST_BYTES = 1 << 30
_LONGEST_REFUSAL = 1 << 12


@click.command("graph")
@click.option("--from", "directory", type=click.Path(path_type=Path), help="A directory of captures.")
@click.option("--server", metavar="URL", help="An aggregator, such as http://127.0.0.1:8080.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A bearer token for the aggregator, as `kubectl create token ACCOUNT --audience nvtopo` prints it.",
)
@click.option("--kubeconfig", type=click.Path(dir_okay=False, path_type=Path), help="Instead of the pod's own account.")
@click.option("--format", "form", type=click.Choice(("racks", "json")), default="racks", show_default=True)
def command(
    directory: Path | None, server: str | None, token_file: Path | None, kubeconfig: Path | None, form: str
) -> None:
    """Show the rack graph: NVLink domains, their trays and GPUs, and what does not fit."""
    given = [
        name for name, value in (("--from", directory), ("--server", server), ("--kubeconfig", kubeconfig)) if value
    ]
    if len(given) > 1:
        raise UsageError(f"graph: one source at a time, got {' and '.join(given)}")
    if token_file and not server:
        raise UsageError("graph: --token-file is for an aggregator: expected --server too")
    document = _fetched(server, _token(token_file)) if server else _built(_listed(directory, kubeconfig))
    if form == "json":
        from nvtopo.exporters.document import pretty

        click.echo(pretty(document), nl=False)
        return
    _print_racks(document)


def _listed(directory: Path | None, kubeconfig: Path | None) -> "Listed":
    if directory is not None:
        from nvtopo.aggregator import fleet

        return fleet.read(directory)
    from nvtopo.kube.client import connect
    from nvtopo.kube.reader import Reader

    with connect(kubeconfig) as client:
        return Reader(client).list()


def _built(listed: "Listed") -> "GraphDocument":
    from nvtopo.cluster.graph import build
    from nvtopo.cluster.inventory import Inventory, fold
    from nvtopo.exporters import document

    return document.of(build(fold(Inventory(), listed)))


def _token(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "expected a token, got other bytes than ASCII"
        raise ReadError(f"{file}: {reason}") from error


def _fetched(server: str, token: str) -> "GraphDocument":
    """The graph that an aggregator serves."""
    import msgspec

    from nvtopo.exporters import document

    url = f"{server.rstrip('/')}/v1/graph"
    try:
        return document.decode(_get(url, token))
    except msgspec.DecodeError as error:
        raise ParseError(f"{url}: expected an nvtopo graph: {error}") from error


def _get(url: str, token: str) -> bytes:
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    if not url.startswith(("http://", "https://")):
        raise UsageError(f"--server: expected a URL such as http://127.0.0.1:8080, got {url!r}")
    request = Request(url)  # noqa: S310 - the scheme was looked at
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - as above
            content: bytes = answer.read(_LARGEST_BYTES)
    except HTTPError as error:
        with error:
            raise ReadError(f"{url}: the server answered {error.code} {_said(error)}") from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ReadError(f"{url}: {getattr(reason, 'strerror', None) or reason}") from error
    return content


def _said(error: "HTTPError") -> str:
    """An aggregator's own words, or HTTP's."""
    import msgspec

    try:
        said: str = msgspec.json.decode(error.read(_LONGEST_REFUSAL), type=dict[str, str])["error"]
    except (OSError, msgspec.DecodeError, KeyError):
        return error.reason
    return " ".join(said.split())


def _print_racks(document: "GraphDocument") -> None:
    from nvtopo.exporters import racks

    if not sys.stdout.isatty():
        click.echo(racks.render(document), nl=False)
        return
    from rich.console import Console

    Console().print(racks.rich_text(document), end="", soft_wrap=True)
