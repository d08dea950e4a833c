"""``nvtopo history NODE|RACK``: what changed, when, from what to what."""

from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from nvtopo.cli import cluster_source
from nvtopo.cli.cluster_source import ClusterSource
from nvtopo.cli.common_options import text_or_json_option
from nvtopo.errors import UsageError

if TYPE_CHECKING:
    from nvtopo.exporters.history_document import HistoryDocument


@click.command("history")
@click.argument("name", metavar="[NODE|RACK]", required=False)
@cluster_source.options
@text_or_json_option
def command(source: ClusterSource, name: str | None, form: str) -> None:
    """Show what changed on a node, or on the nodes of a rack or domain, oldest first.

    Without a name: on all nodes. From an aggregator (--server), or from what the API server keeps.
    """
    source = source.checked("history")
    if source.directory is not None:
        raise UsageError("history: --from has no history; use --server or --kubeconfig")
    found = _served(source, name) if source.server else _kept(source, name)
    if form == "json":
        import msgspec

        from nvtopo.exporters.history_document import encode

        click.echo(msgspec.json.format(encode(found), indent=2).decode("utf-8", "replace"))
        return
    click.echo(_text(found), nl=False)


for _option in command.params:
    if _option.name == "directory":  # files have no history: refused in a sentence, and not offered
        assert isinstance(_option, click.Option)
        _option.hidden = True


def _served(source: ClusterSource, name: str | None) -> "HistoryDocument":
    from nvtopo.exporters.history_document import decode

    query = f"?node={quote(name, safe='')}" if name else ""
    url, content = cluster_source.get(source, f"/v1/history{query}")
    return decode(content, url)


def _kept(source: ClusterSource, name: str | None) -> "HistoryDocument":
    from nvtopo.cluster.graph import build
    from nvtopo.cluster.inventory import Inventory, fold
    from nvtopo.exporters.history_document import members, of
    from nvtopo.kube.client import connect
    from nvtopo.kube.reader import Reader

    with connect(source.kubeconfig) as client:
        listed = Reader(client).list()
    if name is None:
        return of(listed.histories)
    nodes = members(build(fold(Inventory(), listed)), name)
    if nodes is None:
        raise UsageError(f"history: no such node, rack or domain: {name}")
    return of({node: listed.histories.get(node, ()) for node in nodes})


def _text(found: "HistoryDocument") -> str:
    from nvtopo.model.formats.printable import printable

    lines = [f"{found.left_off} older entries are left off"] if found.left_off else []
    lines += [f"{one.at}  {one.node}  {one.text}" for one in found.entries]
    return "".join(f"{printable(line)}\n" for line in lines) or "nothing changed\n"
