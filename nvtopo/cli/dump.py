"""``nvtopo dump``: one-shot topology of this node, or of a capture."""

import sys
from pathlib import Path

import click

from nvtopo.cli.machine import from_option, live_options, snapshot_of
from nvtopo.model.assemble import assemble
from nvtopo.model.derive import Derived, derive
from nvtopo.model.node import NodeTopology

_FORMATS = ("matrix", "json", "labels")


@click.command("dump")
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), default="matrix", show_default=True, help="What to print."
)
@from_option
@live_options
def command(form: str, source: Path | None, root: Path, nvml: str | None, node_name: str | None) -> None:
    """Show the topology of this node: GPUs, NVLinks, NICs, NVMe, CPUs, NUMA."""
    node = assemble(snapshot_of(source, root, nvml, node_name))
    derived = derive(node)
    click.echo(_rendered(form, node, derived), nl=False)


def _rendered(form: str, node: NodeTopology, derived: Derived) -> str | bytes:
    if form == "json":
        from nvtopo.sinks.document import node_json

        return node_json(node, derived)
    if form == "labels":
        from nvtopo.model.features import features

        return "".join(f"{name}={value}\n" for name, value in features(node, derived).items())
    from nvtopo.cli.colour import matrix_style
    from nvtopo.sinks import matrix

    return matrix.render(node, derived, matrix_style(terminal=sys.stdout.isatty()))
