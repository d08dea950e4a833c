"""``nvtopo graph``: the graph of the cluster or a part of it, once or live, as racks, tables or JSON."""

from contextlib import suppress

import click

from nvtopo.cli import cluster_source
from nvtopo.cli.cluster_source import ClusterSource
from nvtopo.errors import UsageError

_TIERS = ("nvlinkDomain", "rack", "leaf", "spine", "core", "zone")


@click.command("graph")
@cluster_source.options
@click.option("--domain", metavar="ID", help="Only this domain, by its ID, short name or identifier.")
@click.option("--node", metavar="NAME", help="Only this node, and the domains that it is in.")
@click.option("--tier", type=click.Choice(_TIERS), help="Only the domains of this tier, and the nodes in them.")
@click.option("--drift", is_flag=True, help="Only findings, and the nodes that they are about.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("racks", "table", "json")),
    help="Output format.  [default: racks; table with --tier or --drift]",
)
@click.option("--watch", is_flag=True, help="Follow the graph of an aggregator (--server) until Ctrl-C.")
@click.option(
    "--cluster",
    "clusters",
    metavar="NAME=URL",
    multiple=True,
    help="Ask the aggregator of this cluster; with several, all are shown, even one that can't be reached.",
)
@click.option(
    "--cluster-token",
    "tokens",
    metavar="NAME=FILE",
    multiple=True,
    help="File with the bearer token for that --cluster alone.",
)
def command(  # noqa: PLR0913, PLR0917 - one parameter for each option
    source: ClusterSource,
    domain: str | None,
    node: str | None,
    tier: str | None,
    drift: bool,
    form: str | None,
    watch: bool,
    clusters: tuple[str, ...],
    tokens: tuple[str, ...],
) -> None:
    """Show the cluster rack by rack: NVLink domains, their trays and GPUs, and findings.

    With --watch it is shown again on a terminal whenever it changes. Elsewhere the changes follow line by line: with
    --format json one JSON object each, to be applied to the one before.
    """
    from nvtopo.cli import graph_views
    from nvtopo.exporters.selection import Selection

    source = source.checked("graph")
    wanted = Selection(domain=domain, tier=tier, node=node, drift=drift)
    form = form or ("table" if tier or drift else "racks")
    if clusters or tokens:
        if watch or any(source):
            raise UsageError("graph: --cluster and --cluster-token go with filters and --format alone")
        graph_views.several(clusters, tokens, form, wanted)
        return
    if not watch:
        graph_views.once(cluster_source.document(source), form, wanted)
        return
    if source.server is None:
        raise UsageError("graph: --watch needs --server")
    with suppress(KeyboardInterrupt):  # how a watch ends
        graph_views.watch(source.server, source.token_file, form, wanted)
