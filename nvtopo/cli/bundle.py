"""``nvtopo bundle``: what a maintainer needs of this node or of a cluster, in one file, scrubbed."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nvtopo.cli import cluster_source
from nvtopo.cli.cluster_source import ClusterSource
from nvtopo.cli.machine import live_options
from nvtopo.cli.paths import FilePath

if TYPE_CHECKING:
    from nvtopo.cli.bundle_parts import Gathered


@click.command("bundle")
@click.argument("file", type=FilePath(dir_okay=False, path_type=Path))
@click.argument("nodes", metavar="[NODE]...", nargs=-1)
@cluster_source.options
@click.option("--unscrubbed", is_flag=True, help="Leave names, serial numbers and addresses as they are.")
@live_options
def command(  # noqa: PLR0913, PLR0917 - one parameter for each option
    source: ClusterSource,
    file: Path,
    nodes: tuple[str, ...],
    unscrubbed: bool,
    root: str,
    nvml: str | None,
    node_name: str | None,
) -> None:
    """Write what a maintainer needs into FILE, a .tar.gz that --from reads.

    Without options that is the capture of this node. With --kubeconfig the graph, history, objects and Events of a
    cluster, with --server graph and history, with --from graph and captures of a folder; of the NODEs named, or of all.
    Names of nodes, serial numbers, UUIDs and addresses are replaced by numbered ones, and secrets removed. Read it
    before you send it.
    """
    source = source.checked("bundle")
    from nvtopo import __version__
    from nvtopo.cli import bundle_parts
    from nvtopo.reports import bundle
    from nvtopo.sinks.publish.files import write_output

    gathered = _of_cluster(source, nodes) if any(source) else bundle_parts.of_this_node(root, nvml, node_name)
    made = bundle.made(gathered.contents(), __version__, scrubbed=not unscrubbed)
    write_output(file, made.content)
    click.echo(f"{file}: {len(made.content)} bytes, {_count(len(made.files))}", err=True)
    for name, reason in made.left_off.items():
        click.echo(f"nvtopo: {name} is left out: {reason}", err=True)
    for problem in made.problems:
        click.echo(f"nvtopo: {problem}", err=True)


def _count(files: int) -> str:
    return f"{files} file{'' if files == 1 else 's'}"


def _of_cluster(source: ClusterSource, nodes: tuple[str, ...]) -> "Gathered":
    from nvtopo.cli import bundle_parts

    if source.directory is not None:
        return bundle_parts.of_files(source.directory, nodes)
    if source.server is not None:
        return bundle_parts.of_aggregator(source, nodes)
    return bundle_parts.of_cluster(source.kubeconfig, nodes)
