"""``nvtopo export KIND``: the cluster's topology as a scheduler reads it."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
from click.core import ParameterSource

from nvtopo.cli import cluster_source, export_inputs
from nvtopo.cli.cluster_source import ClusterSource
from nvtopo.cli.object_names import NAME, NAMESPACE
from nvtopo.cli.paths import FilePath
from nvtopo.errors import UsageError

if TYPE_CHECKING:
    from nvtopo.exporters.schedulers.kinds import Export
    from nvtopo.exporters.schedulers.slurm import Wanted
    from nvtopo.exporters.schedulers.view import View

DIFFERS = 1

APPLIED = (
    "kueue",
    "volcano",
    "kai",
    "grove",
    "koordinator",
    "slinky",
    "nfd",
    "topograph",
    "koordinator-device",
    "nrt",
    "dra",
    "dra-domains",
    "dra-taints",
)
"""Kinds that an aggregator keeps applied with ``--apply``."""
KINDS = (
    *APPLIED,
    "podgroup",
    "slurm-tree",
    "slurm-block",
    "slurm-yaml",
    "slurm-gres",
    "topograph-old",
    "json",
    "graphml",
    "dot",
)
"""Both are here as well, so that ``--help`` imports no exporter; a test holds them together."""
_DRAWN = frozenset(("json", "graphml", "dot"))
_KEEP_PLACES = ("slurm-tree", "slurm-block", "slurm-yaml", "slinky")
_READ_BY = {
    "block_sizes": ("slurm-block", "slurm-yaml", "slinky"),
    "slurm_names": (*_KEEP_PLACES, "slurm-gres"),
    "previous": _KEEP_PLACES,
}
"""Parameter → the kinds that it is for."""


_HELP = """Write the cluster's topology in the form that a scheduler reads.

\b
  kueue, volcano, kai, grove, koordinator, slinky   objects of these schedulers
  nfd                        NodeFeatures with the labels that those objects name
  topograph, topograph-old   labels as topograph 1.0 and 0.5 write them
  koordinator-device, nrt    a Device or NodeResourceTopology for each node
  dra                        DeviceClasses and claim templates
  dra-domains, dra-taints    ResourceSlices of NVLink domains, taints of bad GPUs
  podgroup                   an example PodGroup for each tier
  slurm-tree, slurm-block    topology.conf
  slurm-yaml, slurm-gres     topology.yaml and gres.conf
  json, graphml, dot         the graph itself
"""


@click.command("export", help=_HELP)
@click.argument("kind", metavar="KIND", type=click.Choice(KINDS, case_sensitive=False))
@cluster_source.options
@click.option(
    "--name", type=NAME, default="nvtopo", show_default=True, help="Name of the objects, or the start of their names."
)
@click.option("--namespace", type=NAMESPACE, default="nvtopo", show_default=True, help="Namespace of NodeFeatures.")
@export_inputs.gangs_option
@click.option("--block-sizes", metavar="N,N,…", help="Slurm's BlockSizes; by default the smallest block, doubled.")
@click.option(
    "--slurm-names",
    type=FilePath(exists=True, dir_okay=False, path_type=Path),
    help="File with a line NODE NAME for each node that Slurm has, or `kubectl get pods -o json` of slurmd's pods.",
)
@click.option(
    "--previous",
    type=FilePath(exists=True, dir_okay=False, path_type=Path),
    help="Topology of Slurm whose blocks and powered-down nodes keep their places.  [default: what --output has]",
)
@click.option(
    "--output",
    type=FilePath(dir_okay=False, path_type=Path),
    help="File to write; it is left alone if nothing changed. By default standard output.",
)
@click.option(
    "--prune",
    is_flag=True,
    help="Write nothing; delete what an aggregator in --namespace keeps applied of this kind.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if --output would change, and say how.")
def command(  # noqa: PLR0913, PLR0917 - one parameter for each option
    source: ClusterSource,
    kind: str,
    name: str,
    namespace: str,
    gangs_per_domain: int,
    block_sizes: str | None,
    slurm_names: Path | None,
    previous: Path | None,
    output: Path | None,
    prune: bool,
    check: bool,
) -> None:
    """Read the cluster, write the export or compare it with what is there."""
    from nvtopo.exporters.schedulers import kinds

    _check_options(kind)
    if prune:
        _prune(source, kind, namespace, name)
        return
    if check and output is None:
        raise UsageError("export: --check needs --output, the file to compare with")
    before = (previous or output) if kind in _KEEP_PLACES else None
    asked = _Asked(_sizes(block_sizes), slurm_names, before)
    export = _export(source.checked("export"), kind, name, namespace, asked)
    _say_left_out(kind, export.view)
    text = kinds.text(kind, export._replace(gangs=gangs_per_domain))
    if output is None:
        click.echo(text, nl=False)
    elif check:
        _check(output, text)
    else:
        _write(output, text)


def _check_options(kind: str) -> None:
    """Refuse options on the command line that this kind does not read; the environment's are for those that do."""
    context = click.get_current_context()
    for name, kinds in _READ_BY.items():
        if kind not in kinds and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UsageError(f"export: --{name.replace('_', '-')} is for {', '.join(kinds)}, and not for {kind}")


def _prune(source: ClusterSource, kind: str, namespace: str, name: str) -> None:
    from nvtopo.aggregator import exported
    from nvtopo.exporters.schedulers.owned import Owner
    from nvtopo.kube.client import connect

    if kind not in APPLIED:
        raise UsageError(f"export: --prune: {kind} is never applied")
    if source.directory is not None or source.server is not None:
        raise UsageError("export: --prune asks the API server: use --kubeconfig, without --from and --server")
    with connect(source.kubeconfig) as client:
        count = exported.prune(client, kind, Owner(namespace, name))
    click.echo(f"{count} {kind} objects deleted")


class _Asked(NamedTuple):
    """What the options say of Slurm."""

    sizes: tuple[int, ...]
    names: Path | None
    previous: Path | None

    def wanted(self, view: "View") -> "Wanted":
        """The same, with the files read."""
        from nvtopo.exporters.schedulers.slurm import Wanted

        wanted = Wanted(sizes=self.sizes)
        if self.names is not None:
            given = export_inputs.slurm_names(self.names)
            wanted = wanted._replace(names=dict.fromkeys(view.nodes) | given)
        return wanted if self.previous is None else wanted._replace(before=export_inputs.before(self.previous))


def _export(source: ClusterSource, kind: str, name: str, namespace: str, asked: _Asked) -> "Export":
    from nvtopo.exporters import document as graph_document
    from nvtopo.exporters.schedulers import kinds, view

    if kind not in kinds.OF_NODES:
        document = cluster_source.document(source)
        seen = view.of(document)
        return kinds.Export(seen, document, name, namespace, asked.wanted(seen))
    if source.server:
        raise UsageError(
            f"export: {kind} needs all facts of nodes, which --server does not have: use --from or --kubeconfig"
        )
    if kind == "dra-taints" and source.directory is not None:
        raise UsageError("export: dra-taints needs the devices that drivers publish: use --kubeconfig, without --from")
    graph = cluster_source.graph(source)
    document = graph_document.of(graph)
    seen = view.of(document)
    export = kinds.Export(seen, document, name, namespace, asked.wanted(seen), graph.nodes)
    return export._replace(taints=export_inputs.taints(source, graph)) if kind == "dra-taints" else export


def _say_left_out(kind: str, view: "View") -> None:
    """Tiers that schedulers get nothing of; drawings have all."""
    from nvtopo.exporters.schedulers import kinds
    from nvtopo.model.formats.printable import printable

    if kind in kinds.OF_NODES or kind in _DRAWN:
        return
    for tier, by in view.left_out.items():
        said = f"export: {tier} is left out: {by.name} lies in two of its domains, and schedulers take a tree"
        click.echo(printable(said), err=True)


def _sizes(given: str | None) -> tuple[int, ...]:
    from nvtopo.exporters.schedulers.slurm import is_nested

    if not given:
        return ()
    try:
        sizes = tuple(int(part) for part in given.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1 or not is_nested(sizes):
        raise UsageError(
            f"export: --block-sizes: expected numbers, each a power of two times the one before, got {given!r}"
        )
    return sizes


def _check(output: Path, text: str) -> None:
    from difflib import unified_diff

    before = export_inputs.text_before(output) or ""
    if before != text:
        lines = unified_diff(before.splitlines(keepends=True), text.splitlines(keepends=True), str(output), "now")
        click.echo("".join(lines), nl=False)
        click.get_current_context().exit(DIFFERS)


def _write(output: Path, text: str) -> None:
    from nvtopo.sinks.publish.files import write_output

    if export_inputs.text_before(output) != text:
        write_output(output, text.encode())
