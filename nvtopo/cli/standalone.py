"""``nvtopo standalone``: agent and aggregator in one process, without Kubernetes."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nvtopo.cli import logs
from nvtopo.cli.machine import live_options, machine_of
from nvtopo.cli.paths import FilePath
from nvtopo.cli.tier_sources import topology_option
from nvtopo.runtime.gc_tuning import freeze_startup
from nvtopo.runtime.stop_signals import stopping
from nvtopo.runtime.switching import switch_often

if TYPE_CHECKING:
    from nvtopo.standalone import Running

_LARGEST_PROVENANCE_BYTES = 1 << 16


@click.command("standalone")
@click.option(
    "--fleet",
    type=FilePath(exists=True, file_okay=False, path_type=Path),
    help="Directory of captures: recorded nodes to show next to this machine.",
)
@click.option(
    "--stale", multiple=True, metavar="NODE", help="Show this recorded node as not heard from. May be repeated."
)
@click.option("--oneshot", is_flag=True, help="Print and exit instead of serving until Ctrl-C.")
@click.option("--address", default="127.0.0.1", show_default=True, help="Address to serve the page and the metrics on.")
@click.option(
    "--page-port",
    type=click.IntRange(0, 65535),
    default=8745,
    show_default=True,
    help="Port of the page; 0 for any free port.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    default=9745,
    show_default=True,
    help="Port of the metrics; 0 for any free port.",
)
@topology_option
@live_options
def command(  # noqa: PLR0913, PLR0917 - one parameter for each option
    fleet: Path | None,
    stale: tuple[str, ...],
    oneshot: bool,
    address: str,
    page_port: int,
    metrics_port: int,
    topology: Path | None,
    root: str,
    nvml: str | None,
    node_name: str | None,
) -> None:
    """Show this machine, and recorded ones, as a cluster would: matrix, labels, racks, page and metrics."""
    try:
        from nvtopo import standalone
    except ImportError as error:
        from nvtopo.errors import UsageError
        from nvtopo.extras import how_to_install

        raise UsageError(f"standalone needs {error.name}: {how_to_install('aggregator')}") from error

    logs.begin()
    ports = {"page_port": 0, "metrics_port": 0} if oneshot else {"page_port": page_port, "metrics_port": metrics_port}
    with standalone.running(
        machine_of(root, nvml, node_name), fleet, stale=stale, address=address, topology=topology, **ports
    ) as up:
        _print(up, fleet)
        if not oneshot:
            with stopping(up.agent.stop), switch_often():
                click.echo(f"\nPage:    {up.page_url}/\nMetrics: {up.metrics_url}/metrics\nStop with Ctrl-C.")
                freeze_startup()
                up.agent.run(interval_seconds=15.0)


def _print(up: "Running", fleet: Path | None) -> None:
    from nvtopo.cli.colour import style
    from nvtopo.exporters import document, racks
    from nvtopo.model.conclusions.features import features
    from nvtopo.model.formats.printable import printable
    from nvtopo.sinks.text import matrix

    observation = up.observation
    _head("This machine")
    click.echo(matrix.render(observation.topology, observation.derived, style))
    _head("Its node labels")
    labels = features(observation.topology, observation.derived)
    click.echo("".join(f"{name}={value}\n" for name, value in labels.items()))
    _head("The rack graph")
    if fleet is not None:
        click.echo(f"with the recorded nodes of {printable(str(fleet))}{_provenance(fleet)}\n")
    graph = document.of(up.graph)
    click.echo(racks.render(graph, style), nl=False)


def _head(text: str) -> None:
    from nvtopo.cli.colour import style

    styled = style(text, "head")
    click.echo(styled if styled != text else f"== {text} ==")


def _provenance(fleet: Path) -> str:
    """The first line of the directory's PROVENANCE, which says whether its machines are recorded or synthetic."""
    from nvtopo.model.formats.printable import printable
    from nvtopo.wire.files import read_file

    path = fleet / "PROVENANCE"
    lines = read_file(path, _LARGEST_PROVENANCE_BYTES).decode("utf-8", "replace").splitlines() if path.is_file() else []
    return f": {printable(lines[0])}" if lines else ""
