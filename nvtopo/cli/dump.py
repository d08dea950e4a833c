"""``nvtopo dump``: one-shot topology of this node, of a capture, or of what another tool wrote about a node."""

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import click

from nvtopo.cli.machine import begin_node, from_option, live_options

if TYPE_CHECKING:
    from nvtopo.model.derive import Derived
    from nvtopo.model.node import NodeTopology

_FORMATS = ("matrix", "json", "labels")


@click.command("dump")
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), default="matrix", show_default=True, help="What to print."
)
@from_option
@live_options
def command(form: str, source: str | None, root: str, nvml: str | None, node_name: str | None) -> None:
    """Show the topology of this node: GPUs, NVLinks, NICs, NVMe, CPUs, NUMA."""
    reading = begin_node(source, root, nvml, node_name)
    from nvtopo.model.derive import derive

    render = _renderer(form)
    node = reading()
    click.echo(render(node, derive(node)), nl=False)


def _renderer(form: str) -> "Callable[[NodeTopology, Derived], str | bytes]":
    if form == "json":
        from nvtopo.sinks.document import node_json

        return node_json
    if form == "labels":
        from nvtopo.model.features import features

        return lambda node, derived: "".join(f"{name}={value}\n" for name, value in features(node, derived).items())
    from nvtopo.cli.colour import matrix_style
    from nvtopo.sinks import matrix

    return partial(matrix.render, style=matrix_style(terminal=sys.stdout.isatty()))
