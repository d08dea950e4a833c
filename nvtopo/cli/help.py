"""``nvtopo help [VERB]``: the same as ``nvtopo [VERB] --help``."""

import click

from nvtopo.cli.habits import verb_argument


@click.command("help")
@verb_argument
@click.pass_context
def command(context: click.Context, verb: str | None) -> None:
    """Print the help of VERB, or of nvtopo."""
    above = context.parent
    assert above is not None
    assert isinstance(above.command, click.Group)
    if verb is None:
        click.echo(above.get_help())
        return
    name, shown, _ = above.command.resolve_command(above, [verb])
    assert shown is not None
    click.echo(shown.get_help(click.Context(shown, parent=above, info_name=name)))
