"""``nvtopo capture``: write this node's facts to a file that every command reads with ``--from``."""

from pathlib import Path

import click

from nvtopo.cli.machine import begin, live_options
from nvtopo.cli.paths import FilePath


@click.command("capture")
@click.argument("file", type=FilePath(dir_okay=False, path_type=Path, allow_dash=True))
@live_options
def command(file: Path, root: str, nvml: str | None, node_name: str | None) -> None:
    """Write this node's facts to FILE ('-' is standard output)."""
    snapshot = begin(root, nvml, node_name, everything=True)
    from nvtopo.sinks.document.node import capture_json
    from nvtopo.sinks.publish.files import write_output

    content = capture_json(snapshot())
    if str(file) == "-":
        click.echo(content, nl=False)
        return
    write_output(file, content)
    click.echo(f"{file}: {len(content)} bytes", err=True)
