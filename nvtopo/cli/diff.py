"""``nvtopo diff A B``: what differs between two captures, resources or other tools' outputs of one node, in words."""

import sys
from typing import TYPE_CHECKING

import click

from nvtopo.cli.machine import found_in
from nvtopo.errors import UsageError

if TYPE_CHECKING:
    from nvtopo.model.changes import Change

_FILE = click.Path(exists=False, dir_okay=False, allow_dash=True)
_DIFFERS = 1
_EQUAL = 0


@click.command("diff")
@click.argument("before", type=_FILE)
@click.argument("after", type=_FILE)
@click.option(
    "--format", "form", type=click.Choice(("text", "json")), default="text", show_default=True, help="What to print."
)
def command(before: str, after: str, form: str) -> int:
    """Say what differs between BEFORE and AFTER, one line a change.

    Each is a capture, a NodeTopology as `kubectl get ntopo NODE -o json` (or yaml) prints it, the output of
    `nvtopo dump --format json`, or what another tool wrote; '-' is standard input. Exits 0 where nothing differs, and
    1 where something does.
    """
    if before == after == "-":
        raise UsageError("diff: standard input can be one of the two, not both")
    from nvtopo.model.changes import changes

    found = changes(found_in(before).node, found_in(after).node)
    click.echo(_json(found) if form == "json" else _text(found), nl=False)
    return _DIFFERS if found else _EQUAL


def _text(found: "tuple[Change, ...]") -> str:
    from nvtopo.sinks.matrix import printable

    lines = "".join(f"{printable(change.text)}\n" for change in found)
    return lines or ("nothing differs\n" if sys.stdout.isatty() else "")


def _json(found: "tuple[Change, ...]") -> bytes:
    import msgspec

    entries = [{**msgspec.to_builtins(change), "text": change.text} for change in found]
    return msgspec.json.format(msgspec.json.encode({"changes": entries}), indent=2) + b"\n"
