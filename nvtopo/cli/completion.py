"""``nvtopo completion SHELL``: the script that completes verbs and options."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

_HELP = """Print the completion script for SHELL, or install it for this user.

\b
  bash   --install, with the package bash-completion; or eval "$(nvtopo completion bash)" in ~/.bashrc
  zsh    --install, and fpath+=(~/.local/share/zsh/site-functions) before compinit in ~/.zshrc
  fish   --install
"""

#: Shell → variable of the base folder, its default below the home folder, and the file below it.
_PLACES: Final[Mapping[str, tuple[str, str, str]]] = {
    "bash": ("XDG_DATA_HOME", ".local/share", "bash-completion/completions/nvtopo"),
    "zsh": ("XDG_DATA_HOME", ".local/share", "zsh/site-functions/_nvtopo"),
    "fish": ("XDG_CONFIG_HOME", ".config", "fish/completions/nvtopo.fish"),
}

#: Shell → what it needs besides the file.
_NEEDS: Final[Mapping[str, str]] = {
    "bash": " with the package bash-completion",
    "zsh": " if ~/.zshrc has fpath+=(~/.local/share/zsh/site-functions) before compinit",
}


@click.command("completion", help=_HELP)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.option("--install", is_flag=True, help="Write it to where the shell looks for it, in this user's home.")
@click.pass_context
def command(context: click.Context, shell: str, *, install: bool) -> None:
    """Print what click generates, or write it."""
    from click.shell_completion import ShellComplete, get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    # Not the class's own `source`: bash's asks the bash in PATH for its version first.
    script = ShellComplete.source(kind(context.find_root().command, {}, "nvtopo", "_NVTOPO_COMPLETE"))
    if not install:
        click.echo(script)
        return
    from nvtopo.sinks.publish.files import make_folder, replace_file

    place = _place(shell)
    make_folder(place.parent)
    replace_file(place, f"{script}\n".encode())
    click.echo(f"{place} is written; a new {shell} has it{_NEEDS.get(shell, '')}")


def _place(shell: str) -> Path:
    import os

    variable, default, below = _PLACES[shell]
    base = os.environ.get(variable, "")
    return (Path(base) if base else Path.home() / default) / below
