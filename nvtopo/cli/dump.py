"""``nvtopo dump``: the topology of this node, of a capture, or of another tool's output about a node."""

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import click

from nvtopo.cli.machine import begin_node, folder_in, from_folder_option, host_option, live_options
from nvtopo.cli.paths import FilePath
from nvtopo.errors import UsageError

if TYPE_CHECKING:
    from nvtopo.cli.machine import Found
    from nvtopo.model.conclusions.derive import Derived
    from nvtopo.model.conclusions.pcie import Functions

    Renderer = Callable[[Found, Derived], str | bytes]

_FORMATS = ("matrix", "tree", "json", "yaml", "labels", "dot", "svg", "png", "pdf", "nccl", "metrics")

#: The end of a file's name → the format that ``--output`` writes.
_ENDINGS = {
    ".txt": "matrix",
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".dot": "dot",
    ".gv": "dot",
    ".svg": "svg",
    ".png": "png",
    ".pdf": "pdf",
    ".xml": "nccl",
    ".prom": "metrics",
}

#: What has no place for a problem; the others show what could not be read.
_SAYS_NO_PROBLEMS = ("labels", "nccl", "dot", "svg", "png", "pdf")

#: What is no text.
_BINARY = ("png", "pdf")

_HELP = """Show the topology of this node: GPUs, NVLinks, NICs, NVMe, CPUs, NUMA.

\b
  matrix   the connection between each pair of devices, as in `nvidia-smi topo -m`
  tree     NUMA nodes, host bridges, PCIe switches and the devices below them
  json     facts and conclusions: {"spec": ..., "derived": ...}
  yaml     the same as YAML
  labels   the node's labels
  dot      a graph for Graphviz: nvtopo dump --format dot | dot -Tsvg
  svg      a picture for browsers and documents
  png      the same picture by the package CairoSVG: nvtopo dump --output topology.png
  pdf      the same, as a drawing
  nccl     NCCL's topology XML, for NCCL_TOPO_FILE
  metrics  the metrics page that the agent would serve
"""


@click.command("dump", help=_HELP)
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), help="Output format.  [default: of --output's name, or matrix]"
)
@click.option(
    "--output",
    type=FilePath(dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="File to write instead of standard output, such as topology.svg.",
)
@click.option(
    "--nvme/--no-nvme",
    default=None,
    help="Show NVMe drives in the matrix. By default they are shown unless the terminal is too narrow.",
)
@from_folder_option
@host_option
@live_options
def command(  # noqa: PLR0913, PLR0917 - one parameter for each option
    form: str | None,
    output: str | None,
    nvme: bool | None,
    source: str | None,
    host: str | None,
    root: str,
    nvml: str | None,
    node_name: str | None,
) -> None:
    """Read the node, derive what follows, print it."""
    began = time.monotonic()
    form = form or _form_of(output)
    if form in _BINARY and output in {None, "-"} and sys.stdout.isatty():
        raise UsageError(f"--format {form} is not for a terminal: --output topology.{form}")
    if output is not None and nvme is None:
        nvme = True  # no terminal is too narrow for a file
    folder = folder_in(source)
    if folder is not None:
        reading = _in_folder(folder, host, form, output)
        if reading is None:
            return
    else:
        reading = begin_node(source, root, nvml, node_name, host)
    from nvtopo.model.conclusions.derive import derive

    render = _matrix(nvme) if form == "matrix" else _renderer(form, began)
    found = reading()
    if form in _SAYS_NO_PROBLEMS and found.node.unseen:
        from nvtopo.cli import input_notes

        input_notes.say_left_out(found.node, source or "")
    _put(output, render(found, derive(found.node)))


def _in_folder(path: str, host: str | None, form: str, output: str | None) -> "Callable[[], Found] | None":
    """The one machine of a folder; None if there are several, whose table is printed."""
    from nvtopo.cli import dump_folder

    folder = dump_folder.read(path, host)
    machine = folder.machine
    if machine is not None:
        return lambda: machine
    columns = None if output is not None else _terminal_columns()
    _put(output, dump_folder.table(folder, form, path, columns))
    return None


def _form_of(output: str | None) -> str:
    """The format that the file's name asks for; the matrix for standard output."""
    if output is None or output == "-":
        return "matrix"
    form = _ENDINGS.get(os.path.splitext(output)[1].lower())  # noqa: PTH122 - pathlib costs the start
    if form is None:
        raise UsageError(f"--output {output}: expected --format, or a name that ends in {', '.join(_ENDINGS)}")
    return form


def _put(output: str | None, shown: str | bytes) -> None:
    if output is None or output == "-":
        click.echo(shown, nl=False)
        return
    from pathlib import Path

    from nvtopo.sinks.publish.files import write_output

    write_output(Path(output), click.unstyle(shown).encode() if isinstance(shown, str) else shown)


def _matrix(nvme: bool | None) -> "Renderer":
    from nvtopo.cli.colour import painter
    from nvtopo.sinks.text import matrix

    draw = partial(matrix.render, style=painter(), columns=_terminal_columns(), nvme=nvme)
    return lambda found, derived: draw(found.node, derived)


def _renderer(form: str, began: float) -> "Renderer":
    if form in ("json", "yaml"):
        from nvtopo.sinks.document import node as document

        write = document.node_json if form == "json" else document.node_yaml
        return lambda found, derived: write(found.node, derived)
    if form == "labels":
        from nvtopo.model.conclusions.features import features

        return lambda found, derived: "".join(
            f"{name}={value}\n" for name, value in features(found.node, derived).items()
        )
    return partial(_metrics, began=began) if form == "metrics" else partial(_drawn, form)


def _metrics(found: "Found", derived: "Derived", began: float) -> str:
    """The agent's page after one reading; without a snapshot, only the series that the node alone gives."""
    from nvtopo.model.observation import Observation
    from nvtopo.model.records.snapshot import Snapshot
    from nvtopo.sinks.metrics import rdma as rdma_metrics
    from nvtopo.sinks.metrics.observation import part
    from nvtopo.sinks.metrics.series import text

    seconds = time.monotonic() - began
    observation = Observation(found.snapshot or Snapshot(), found.node, derived, seconds, time.time())
    ports = rdma_metrics.families(rdma_metrics.remembered(found.node), found.node)
    return text((*part(lambda: observation)(), *ports))


def _drawn(form: str, found: "Found", derived: "Derived") -> str | bytes:
    """The formats that also need the PCI functions, as far as they are known."""
    from nvtopo.model.conclusions import hierarchy

    functions = hierarchy.functions_of(found.snapshot)
    if form == "tree":
        return _tree(found, derived, functions)
    if form == "nccl":
        from nvtopo.sinks.document import nccl

        return nccl.render(found.node, functions)
    if form == "dot":
        from nvtopo.sinks.picture import dot

        return dot.render(found.node, derived, functions)
    from nvtopo.sinks.picture import svg

    drawing = svg.render(found.node, derived, functions)
    if form not in _BINARY:
        return drawing
    from nvtopo.sinks.picture.converted import converted

    return converted(drawing, form)


def _tree(found: "Found", derived: "Derived", functions: "Functions") -> str:
    from nvtopo.cli.colour import style, wanted
    from nvtopo.sinks.text import tree

    if not sys.stdout.isatty() and not wanted():
        return tree.render(found.node, derived, functions)
    unicode = sys.stdout.encoding.lower().startswith("utf")
    return tree.render(found.node, derived, functions, tree.BOX if unicode else tree.PLAIN, style)


def _terminal_columns() -> int | None:
    """The terminal's width; None for a pipe, or if it is not known."""
    if not sys.stdout.isatty():
        return None
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except OSError:
        return None
