"""``nvtopo nfd-hook``: this node's labels in the form of a Node Feature Discovery hook."""

import click

from nvtopo.cli.machine import begin, live_options

_HELP = """Print this node's labels for NFD releases that run hooks, one NAME=VALUE on each line.

NFD runs hooks by default up to release 0.13; 0.14 to 0.16 run them if sources.local.hooksEnabled is set. Later releases
read only what the agent writes: the feature file or the NodeFeature object.
"""


@click.command("nfd-hook", help=_HELP)
@live_options
def command(root: str, nvml: str | None, node_name: str | None) -> None:
    """Read, derive, print; print nothing if the machine can't be read."""
    reading = begin(root, nvml, node_name)
    from nvtopo.model.conclusions.assemble import assemble
    from nvtopo.model.conclusions.derive import derive
    from nvtopo.model.conclusions.features import features
    from nvtopo.sinks.publish import nfd

    node = assemble(reading())
    click.echo(nfd.lines(features(node, derive(node))), nl=False)
