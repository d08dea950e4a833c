"""``nvtopo place``: the best GPUs for a gang, on a cluster from files or an API server."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nvtopo.cli import cluster_source
from nvtopo.cli.cluster_source import ClusterSource
from nvtopo.cli.load_queries import LoadOptions, load_options, node_loads
from nvtopo.cli.paths import FilePath
from nvtopo.errors import ReadError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nvtopo.aggregator.fleets import Use
    from nvtopo.placement.deployment import Deployment
    from nvtopo.placement.fleet import Fleet
    from nvtopo.placement.links import Link
    from nvtopo.placement.replicas import Placed
    from nvtopo.placement.request import Load

NO_FIT = 1
#: What `nvtopo export grove` calls its ClusterTopologyBinding.
TOPOLOGY = "nvtopo"


@click.command("place")
@cluster_source.options
@click.option(
    "--request",
    "request_file",
    type=FilePath(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="PlacementRequest in YAML or JSON; - for standard input.",
)
@click.option(
    "--deployment",
    "deployment_file",
    type=FilePath(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="InferenceDeployment in YAML or JSON: its replicas, and room for maxReplicas.",
)
@click.option(
    "--running",
    type=FilePath(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="With --deployment: Assignment (JSON) of a replica that runs; repeatable.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(("text", "json", "hostfile", "rankfile", "grove"), case_sensitive=False),
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
    type=FilePath(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    multiple=True,
    help="Output of nccl-tests or nvbandwidth on nodes of the cluster, instead of the given links; repeatable.",
)
@load_options
def command(  # noqa: PLR0913, PLR0917 - one argument for each option
    source: ClusterSource,
    request_file: Path | None,
    deployment_file: Path | None,
    running: tuple[Path, ...],
    form: str,
    runs: tuple[Path, ...],
    load: LoadOptions,
    *,
    allocations: bool,
) -> None:
    """Find the GPUs on which a gang's all-reduce is fastest. Exits 1 if the gang fits nowhere."""
    from nvtopo.placement import document, text
    from nvtopo.placement.place import place
    from nvtopo.placement.result import NoFit
    from nvtopo.sources.capture import read_input

    source = source.checked("place")
    if source.server:
        raise UsageError("place: --server: expected a cluster from --from or the API server")
    if allocations and source.directory is not None:
        raise UsageError("place: --allocations asks the API server, and --from has none")
    if (request_file is None) == (deployment_file is None):
        raise UsageError("place: expected one of --request and --deployment")
    if deployment_file is not None:
        if form not in {"text", "json", "grove"}:
            raise UsageError(f"place: --format {form}: expected text, json or grove with --deployment")
        _deployment(deployment_file, running, form, lambda: _fleet(source, allocations=allocations)[0], runs)
        return
    if form == "grove":
        raise UsageError("place: --format grove: expected --deployment")
    if running or request_file is None:
        raise UsageError("place: --running: expected --deployment too")
    parsed = document.parse(read_input(request_file), str(request_file))
    fleet, generation = _fleet(source, allocations=allocations, degraded=parsed.allow_degraded)
    answer = place(fleet, parsed.with_load(_load(load)), _measured(runs, fleet, parsed.links), generation)
    click.echo(text.FORMATS[form](answer), nl=False, err=isinstance(answer, NoFit) and form != "json")
    if isinstance(answer, NoFit):
        click.get_current_context().exit(NO_FIT)


def _load(asked: LoadOptions) -> "Callable[[float], Mapping[str, Load]]":
    """What the queries say now, once asked for; why some of it is not known is said."""

    def known(seconds: float) -> "Mapping[str, Load]":
        loads = node_loads("place", asked)
        if loads is None:
            raise UsageError("place: spec.load: expected nodes in it, or --prometheus with a query")
        if reason := loads.look():
            click.echo(f"place: load: {reason}", err=True)
        return loads.known(seconds)

    return known


def _fleet(source: ClusterSource, *, allocations: bool, degraded: bool = False) -> "tuple[Fleet, int]":
    """The fleet, and the generation of the graph it is of."""
    from nvtopo.aggregator.fleets import Use
    from nvtopo.placement import hosts

    graph = cluster_source.graph(source)
    use = _use(source) if allocations else Use()
    return hosts.of_graph(graph, use.held, degraded=degraded, told=use.told), graph.generation


def _deployment(
    file: Path, running: tuple[Path, ...], form: str, fleet: "Callable[[], Fleet]", runs: tuple[Path, ...]
) -> None:
    from nvtopo.placement import deployment
    from nvtopo.placement.replicas import placed
    from nvtopo.placement.result import Assignment
    from nvtopo.reports.replicas import FORMATS
    from nvtopo.sources.capture import read_input
    from nvtopo.wire.documents import Json

    asked = deployment.parse(read_input(file), str(file))
    reader = Json(Assignment, "an Assignment, as `nvtopo place --format json` writes it")
    there = [reader.read(read_input(one), str(one)) for one in running]
    found = fleet()
    answer = placed(asked, found, _measured(runs, found, {}), there)
    click.echo(_grove(asked, answer, found) if form == "grove" else FORMATS[form](answer), nl=False)
    if not answer.enough:
        click.get_current_context().exit(NO_FIT)


def _grove(asked: "Deployment", answer: "Placed", fleet: "Fleet") -> bytes:
    """What Grove packs each replica by, if it can have it."""
    import msgspec

    from nvtopo.exporters.schedulers import grove

    if asked.near is None:
        raise UsageError("place: --format grove: expected an affinity in the deployment, such as same-nvlink-domain")
    found = grove.packed(asked.name, asked.near, fleet.levels, TOPOLOGY)
    if found is None:
        raise ReadError(f"place: `nvtopo export grove` has no domain for {asked.near} in this cluster")
    near = fleet.levels.index(asked.near)
    if any(fleet.levels.index(replica.answer.level) > near for replica in answer.replicas):
        raise ReadError(f"place: a replica is in no one {asked.near}: give each stage's clique a topologyConstraint")
    return msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"


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


def _use(source: ClusterSource) -> "Use":
    from nvtopo.aggregator.holdings import used
    from nvtopo.kube import allocations
    from nvtopo.kube.client import connect

    with connect(source.kubeconfig) as client:
        return used(allocations.listed(client))
