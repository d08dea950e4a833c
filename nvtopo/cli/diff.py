"""``nvtopo diff A B``: what differs between two captures, resources or other tools' outputs, in words."""

import sys
from typing import TYPE_CHECKING

import click

from nvtopo.cli.common_options import text_or_json_option
from nvtopo.cli.machine import found_in
from nvtopo.cli.paths import FilePath
from nvtopo.errors import UsageError

if TYPE_CHECKING:
    from nvtopo.model.changes.change import Change

_FILE = FilePath(exists=True, dir_okay=False, allow_dash=True)
_DIFFERS = 1
_EQUAL = 0


@click.command("diff")
@click.argument("before", type=_FILE)
@click.argument("after", type=_FILE)
@text_or_json_option
def command(before: str, after: str, form: str) -> int:
    """Show what differs between BEFORE and AFTER, one change on each line.

    Each file is a capture, a NodeTopology (`kubectl get ntopo NODE -o json` or yaml), the output of
    `nvtopo dump --format json`, or another tool's output; '-' is standard input. Only what a
    NodeTopology holds is compared: not counters, nor the port of an NVSwitch at which an NVLink ends. Exits 0 if
    nothing differs, 1 if something does.
    """
    if before == after == "-":
        raise UsageError("diff: expected at most one '-': standard input can be read only once")
    from nvtopo.model.changes.topology import changes

    found = changes(found_in(before).node, found_in(after).node)
    click.echo(_json(found) if form == "json" else _text(found), nl=False)
    return _DIFFERS if found else _EQUAL


def _text(found: "tuple[Change, ...]") -> str:
    from nvtopo.model.changes import words
    from nvtopo.model.formats.printable import printable

    lines = "".join(f"{printable(words.text(change))}\n" for change in found)
    return lines or ("nothing differs\n" if sys.stdout.isatty() else "")


def _json(found: "tuple[Change, ...]") -> bytes:
    import msgspec

    from nvtopo.model.changes import words

    entries = [{**msgspec.to_builtins(one), "fact": words.fact(one), "text": words.text(one)} for one in found]
    return msgspec.json.format(msgspec.json.encode({"changes": entries}), indent=2) + b"\n"
