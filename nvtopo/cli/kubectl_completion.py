"""``kubectl_complete-nvtopo``: what kubectl runs to complete ``kubectl nvtopo``, with the words so far as arguments.

It prints a word on each line, with its description after a tab, and at last how kubectl's own completion goes on.
"""

import sys
from typing import Final

import click
from click.shell_completion import ShellComplete

from nvtopo import cli

#: cobra's ShellCompDirectiveDefault, which completes names of files, and ShellCompDirectiveNoFileComp.
_FILES: Final = 0
_NO_FILES: Final = 4


def run() -> None:
    """The entry point."""
    *words, incomplete = sys.argv[1:] or [""]
    items = ShellComplete(cli.main, {}, "kubectl nvtopo", "").get_completions(words, incomplete)
    for item in items:
        if item.type == "plain":
            click.echo(f"{item.value}\t{item.help}" if item.help else item.value)
    click.echo(f":{_NO_FILES if all(item.type == 'plain' for item in items) else _FILES}")
