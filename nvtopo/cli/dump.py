"""``nvtopo dump``: one-shot topology of this node, of a capture, or of what another tool wrote about a node."""

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import click

from nvtopo.cli.machine import begin_node, from_option, live_options

if TYPE_CHECKING:
    from nvtopo.cli.machine import Found
    from nvtopo.model.derive import Derived
    from nvtopo.sinks import hierarchy

    Renderer = Callable[[Found, Derived], str | bytes]

_FORMATS = ("matrix", "tree", "json", "yaml", "labels", "dot", "svg", "nccl", "metrics")

_HELP = """Show the topology of this node: GPUs, NVLinks, NICs, NVMe, CPUs, NUMA.

\b
  matrix   who is how near to whom, in the manner of `nvidia-smi topo -m`
  tree     what hangs where: NUMA nodes, host bridges, PCIe switches, devices
  json     facts and conclusions: {"spec": ..., "derived": ...}
  yaml     the same as YAML
  labels   the node labels that follow from it
  dot      a graph for Graphviz: nvtopo dump --format dot | dot -Tsvg
  svg      a picture, for browsers and documents
  nccl     NCCL's topology XML, for NCCL_TOPO_FILE
  metrics  the metrics page that the agent would serve
"""


@click.command("dump", help=_HELP)
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), default="matrix", show_default=True, help="What to print."
)
@click.option(
    "--nvme/--no-nvme",
    default=None,
    help="Show NVMe drives in the matrix. By default a terminal that is too narrow does without them.",
)
@from_option
@live_options
def command(  # noqa: PLR0913, PLR0917 - one parameter for each option
    form: str, nvme: bool | None, source: str | None, root: str, nvml: str | None, node_name: str | None
) -> None:
    """Read, derive, print."""
    began = time.monotonic()
    reading = begin_node(source, root, nvml, node_name)
    from nvtopo.model.derive import derive

    render = _matrix(nvme) if form == "matrix" else _renderer(form, began)
    found = reading()
    click.echo(render(found, derive(found.node)), nl=False)


def _matrix(nvme: bool | None) -> "Renderer":
    from nvtopo.cli.colour import matrix_style
    from nvtopo.sinks import matrix

    draw = partial(
        matrix.render, style=matrix_style(terminal=sys.stdout.isatty()), columns=_terminal_columns(), nvme=nvme
    )
    return lambda found, derived: draw(found.node, derived)


def _renderer(form: str, began: float) -> "Renderer":
    if form in ("json", "yaml"):
        from nvtopo.sinks import document

        write = document.node_json if form == "json" else document.node_yaml
        return lambda found, derived: write(found.node, derived)
    if form == "labels":
        from nvtopo.model.features import features

        return lambda found, derived: "".join(
            f"{name}={value}\n" for name, value in features(found.node, derived).items()
        )
    return partial(_metrics, began=began) if form == "metrics" else partial(_drawn, form)


def _metrics(found: "Found", derived: "Derived", began: float) -> str:
    """The agent's page after one reading. Of what is not a snapshot it has what the node itself says."""
    from nvtopo.model.snapshot import Snapshot
    from nvtopo.sinks.metrics import rdma as rdma_metrics
    from nvtopo.sinks.metrics.observation import Observation, part
    from nvtopo.sinks.metrics.series import text

    seconds = time.monotonic() - began
    observation = Observation(found.snapshot or Snapshot(), found.node, derived, seconds, time.time())
    ports = rdma_metrics.families(rdma_metrics.remembered(found.node), found.node)
    return text((*part(lambda: observation)(), *ports))


def _drawn(form: str, found: "Found", derived: "Derived") -> str:
    """What needs the PCI functions too, as far as they are known."""
    from nvtopo.sinks import hierarchy

    functions = hierarchy.functions_of(found.snapshot)
    if form == "tree":
        return _tree(found, derived, functions)
    if form == "nccl":
        from nvtopo.sinks import nccl

        return nccl.render(found.node, functions)
    if form == "dot":
        from nvtopo.sinks import dot

        return dot.render(found.node, derived, functions)
    from nvtopo.sinks import svg

    return svg.render(found.node, derived, functions)


def _tree(found: "Found", derived: "Derived", functions: "hierarchy.Functions") -> str:
    from nvtopo.cli.colour import tree_style
    from nvtopo.sinks import tree

    if not sys.stdout.isatty():
        return tree.render(found.node, derived, functions)
    unicode = sys.stdout.encoding.lower().startswith("utf")
    return tree.render(found.node, derived, functions, tree.BOX if unicode else tree.PLAIN, tree_style)


def _terminal_columns() -> int | None:
    """How wide the terminal is; None for a pipe, and where nobody knows."""
    if not sys.stdout.isatty():
        return None
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except OSError:
        return None
