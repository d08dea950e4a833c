"""``nvtopo standalone``: agent and aggregator in one process, without Kubernetes."""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nvtopo.cli.lasting import settle
from nvtopo.cli.machine import live_options, machine_of

if TYPE_CHECKING:
    from nvtopo.standalone import Running


@click.command("standalone")
@click.option(
    "--fleet",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of captures: recorded nodes that stand beside this machine.",
)
@click.option("--oneshot", is_flag=True, help="Print and end, instead of serving until Ctrl-C.")
@click.option("--address", default="127.0.0.1", show_default=True, help="Where the page and the metrics are served.")
@click.option("--page-port", type=click.IntRange(0, 65535), default=8745, show_default=True, help="0: any free one.")
@click.option("--metrics-port", type=click.IntRange(0, 65535), default=9745, show_default=True, help="0: any free one.")
@live_options
def command(  # noqa: PLR0913, PLR0917 - one parameter for each option
    fleet: Path | None,
    oneshot: bool,
    address: str,
    page_port: int,
    metrics_port: int,
    root: str,
    nvml: str | None,
    node_name: str | None,
) -> None:
    """Show this machine, and a fleet of recorded ones, as a cluster would: matrix, labels, racks, page, metrics."""
    try:
        from nvtopo import standalone
    except ImportError as error:
        from nvtopo.errors import UsageError

        raise UsageError(f"standalone needs the aggregator: pip install 'nvtopo[aggregator]' ({error.name})") from error

    ports = {"page_port": 0, "metrics_port": 0} if oneshot else {"page_port": page_port, "metrics_port": metrics_port}
    with standalone.running(machine_of(root, nvml, node_name), fleet, address=address, **ports) as up:
        _print(up, fleet)
        if not oneshot:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: up.agent.stop())
            click.echo(f"\nPage:    {up.page_url}/\nMetrics: {up.metrics_url}/metrics\nCtrl-C ends.")
            settle()
            up.agent.run(interval_seconds=15.0)


def _print(up: "Running", fleet: Path | None) -> None:
    from nvtopo.cli.colour import matrix_style
    from nvtopo.exporters import document, racks
    from nvtopo.model.features import features
    from nvtopo.sinks import matrix

    terminal = sys.stdout.isatty()
    observation = up.observation
    _head("This machine")
    click.echo(matrix.render(observation.node, observation.derived, matrix_style(terminal=terminal)))
    _head("Its node labels")
    labels = features(observation.node, observation.derived)
    click.echo("".join(f"{name}={value}\n" for name, value in labels.items()))
    _head("The rack graph")
    if fleet is not None:
        click.echo(f"with the recorded nodes of {fleet}{_provenance(fleet)}\n")
    graph = document.of(up.graph)
    if terminal:
        from rich.console import Console

        Console().print(racks.rich_text(graph), end="", soft_wrap=True)
    else:
        click.echo(racks.render(graph), nl=False)


def _head(text: str) -> None:
    click.echo(click.style(text, bold=True) if sys.stdout.isatty() else f"== {text} ==")


def _provenance(fleet: Path) -> str:
    """The first line of the folder's PROVENANCE, which says whether its machines are recorded or invented."""
    path = fleet / "PROVENANCE"
    return f": {path.read_text(encoding='utf-8').splitlines()[0]}" if path.is_file() else ""
