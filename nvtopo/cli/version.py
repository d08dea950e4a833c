"""``nvtopo version``: the same as ``nvtopo --version``."""

import click

from nvtopo import __version__


@click.command("version")
def command() -> None:
    """Print the version."""
    click.echo(f"nvtopo, version {__version__}")
