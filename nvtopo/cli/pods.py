"""``nvtopo pods [NODE…]``: which GPUs and NICs each pod holds, and whether it could have got better ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nvtopo.cli.common_options import kubeconfig_option, text_or_json_option
from nvtopo.cli.load_queries import HeatOptions, heat_asker, heat_options
from nvtopo.errors import NotFound, ReadError, UsageError
from nvtopo.model.formats.near import hint

if TYPE_CHECKING:
    from nvtopo.aggregator.heat_asker import HeatAsker
    from nvtopo.model.records.allocation import Allocation
    from nvtopo.model.records.node import NodeTopology
    from nvtopo.reports.pods import Node


@click.command("pods")
@click.argument("names", metavar="[NODE]...", nargs=-1)
@click.option(
    "--job",
    metavar="NAMESPACE/NAME",
    help="One gang or job instead: its pods, nodes, GPUs, and what lies between them.",
)
@heat_options
@kubeconfig_option
@text_or_json_option
def command(names: tuple[str, ...], job: str | None, heat: HeatOptions, kubeconfig: Path | None, form: str) -> None:
    """Show which GPUs and NICs each pod holds: of all nodes, or of those named.

    Needs agents that run with --allocations (daemonset/components/allocations).
    """
    asker = heat_asker("pods", *heat)
    if job is not None:
        _show_job(names, job, asker, kubeconfig, form)
        return
    if asker is not None:
        raise UsageError("pods: --prometheus: expected --job too")
    from nvtopo.kube import allocations
    from nvtopo.kube.client import connect
    from nvtopo.kube.reader import Reader
    from nvtopo.reports import pods

    with connect(kubeconfig) as client:
        topologies = Reader(client).list().nodes
        try:
            held = allocations.listed(client)
        except NotFound as error:
            raise ReadError(
                f"pods: expected NodeAllocations, got none: {error}; install components/allocations"
            ) from None
    unknown = [name for name in names if name not in topologies and name not in held]
    if unknown:
        near = hint(unknown[0], {*topologies, *held})
        raise UsageError(f"pods: expected nodes of the cluster, got {', '.join(unknown)}{near}")
    found = {name: _audited(name, topologies, held) for name in sorted(names or {*topologies, *held})}
    if form == "json":
        _print_json(pods.document(found))
    else:
        click.echo(pods.text(found), nl=False)


def _audited(name: str, topologies: "Mapping[str, NodeTopology]", held: "Mapping[str, Allocation]") -> "Node":
    from nvtopo.model.conclusions.derive import derive
    from nvtopo.model.samples import audit

    if name not in held:
        return [], "no NodeAllocation: does its agent run with --allocations?"
    allocation = held[name]
    if allocation.unknown or name not in topologies:
        return audit.pods(allocation, (), None, {}), allocation.unknown or "no NodeTopology that can be read"
    derived = derive(topologies[name])
    nearest = {gpu: found.nics for gpu, found in derived.nearest_nics.items()}
    return audit.pods(allocation, [gpu.index for gpu in topologies[name].gpus], derived.nvlink_groups, nearest), ""


def _print_json(found: object) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode("utf-8", "replace"))


def _show_job(names: tuple[str, ...], job: str, asker: "HeatAsker | None", kubeconfig: Path | None, form: str) -> None:
    from urllib.parse import quote

    from nvtopo.cli.cluster_source import ClusterSource, graph
    from nvtopo.exporters import job_document, job_heat
    from nvtopo.kube import allocations, gpu_pods
    from nvtopo.kube.client import connect
    from nvtopo.reports import job as report

    namespace, _, name = job.partition("/")
    if names or not namespace or not name:
        got = f"{job!r} and nodes" if names else repr(job)
        raise UsageError(f"pods: --job: expected NAMESPACE/NAME and no node, got {got}")
    known = graph(ClusterSource(None, None, None, kubeconfig))
    with connect(kubeconfig) as client:
        pages = client.pages(f"/api/v1/namespaces/{quote(namespace, safe='')}/pods")
        found = [pod for page in pages for item in page.items if (pod := gpu_pods.decoded(item)) is not None]
        try:
            held = allocations.listed(client)
        except NotFound:
            held = {}
    document = job_document.job(namespace, name, found, known, held.get)
    if document is None:
        raise ReadError(f"pods: no bound pod of a gang or job {name!r} in the namespace {namespace!r}")
    if asker is not None:
        answer = asker.ask(document.nodes)
        document = job_heat.heated(document, job_heat.Told(answer.readings, 0.0, answer.error), known)
    if form == "json":
        _print_json(document)
    else:
        click.echo(report.text(document), nl=False)
