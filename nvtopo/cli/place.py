"""``nvtopo place``: the best GPUs for a gang, on a cluster from files or an API server."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nvtopo.cli import cluster_source
from nvtopo.cli.cluster_source import Source
from nvtopo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvtopo.aggregator.desk import Use
    from nvtopo.placement.fleet import Fleet
    from nvtopo.placement.links import Link

NO_FIT = 1


@click.command("place")
@cluster_source.options
@click.option(
    "--request",
    "request_file",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    required=True,
    help="PlacementRequest in YAML or JSON; - for standard input.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(("text", "json", "hostfile", "rankfile"), case_sensitive=False),
    default="text",
    show_default=True,
    help="Output format.",
)
@click.option(
    "--allocations/--no-allocations",
    default=False,
    show_default=True,
    help="Leave out GPUs that pods hold, by the NodeAllocations at the API server.",
)
@click.option(
    "--measured",
    "runs",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    multiple=True,
    help="Output of nccl-tests or nvbandwidth on nodes of the cluster, instead of the given links; repeatable.",
)
def command(source: Source, request_file: Path, form: str, runs: tuple[Path, ...], *, allocations: bool) -> None:
    """Find the GPUs on which a gang's all-reduce is fastest. Exits 1 if the gang fits nowhere."""
    from nvtopo.aggregator.desk import Use
    from nvtopo.placement import document, hosts, text
    from nvtopo.placement.answer import NoFit
    from nvtopo.placement.place import place
    from nvtopo.sources.capture import read_input

    source = source.checked("place")
    if source.server:
        raise UsageError("place: --server: expected a cluster from --from or the API server")
    if allocations and source.directory is not None:
        raise UsageError("place: --allocations asks the API server, and --from has none")
    parsed = document.parse(read_input(request_file), str(request_file))
    graph = cluster_source.graph(source)
    use = _use(source) if allocations else Use()
    fleet = hosts.of_graph(graph, use.held, degraded=parsed.allow_degraded, told=use.told)
    answer = place(fleet, parsed.request, _measured(runs, fleet, parsed.links), graph.generation)
    click.echo(text.FORMATS[form](answer), nl=False, err=isinstance(answer, NoFit) and form != "json")
    if isinstance(answer, NoFit):
        click.get_current_context().exit(NO_FIT)


def _measured(runs: tuple[Path, ...], fleet: "Fleet", given: "Mapping[str, Link]") -> "Mapping[str, Link]":
    """The links of the request, with those that were measured in their place; what is not used is said."""
    from nvtopo.placement.measured_links import overrides
    from nvtopo.sources.capture import read_input
    from nvtopo.sources.foreign import measurements

    found = overrides(
        measurements.joined(measurements.read(read_input(file), str(file)) for file in runs), fleet, given
    )
    for reason in found.unused:
        click.echo(f"place: not used: {reason}", err=True)
    return found.links


def _use(source: Source) -> "Use":
    from nvtopo.aggregator.holdings import used
    from nvtopo.kube import allocations
    from nvtopo.kube.client import connect

    with connect(source.kubeconfig) as client:
        return used(allocations.listed(client))
