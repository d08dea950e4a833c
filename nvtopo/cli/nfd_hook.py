"""``nvtopo nfd-hook``: this node's labels as Node Feature Discovery's hooks print them."""

import click

from nvtopo.cli.machine import begin_node, live_options

_HELP = """Print this node's labels for NFD releases that still run hooks: one NAME=VALUE a line.

NFD runs hooks by default up to release 0.13, and in 0.14 to 0.16 where its configuration asks for it
(sources.local.hooksEnabled). Releases from 0.17 on read only what the agent keeps: the feature file, or the NodeFeature
object.
"""


@click.command("nfd-hook", help=_HELP)
@live_options
def command(root: str, nvml: str | None, node_name: str | None) -> None:
    """Read, derive, print; nothing is printed where the machine could not be read."""
    reading = begin_node(None, root, nvml, node_name)
    from nvtopo.model.derive import derive
    from nvtopo.model.features import features
    from nvtopo.sinks import nfd

    node = reading().node
    click.echo(nfd.lines(features(node, derive(node))), nl=False)
