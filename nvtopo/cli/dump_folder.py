"""``dump --from`` a folder: the one machine in it, or a table of all."""

import os
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from nvtopo.cli.machine import Found, found_in
from nvtopo.errors import UsageError
from nvtopo.model.formats.near import hint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvtopo.cluster.claims import Reading
    from nvtopo.model.records.node import NodeTopology
    from nvtopo.model.records.snapshot import Snapshot
    from nvtopo.sinks.text.nodes import Line

#: What the folder of one machine has, beside what was made of it.
_CAPTURE: Final = "capture.json"
_MOST_SAID: Final = 8
_MOST_NAMED: Final = 12


class Folder(NamedTuple):
    """What a folder holds: one machine to show, or lines of several."""

    machine: Found | None
    names: tuple[str, ...] = ()
    lines: "tuple[Line, ...]" = ()


def read(path: str, host: str | None) -> Folder:
    """The machine of a folder that has but one, or that ``host`` names; else a line for each node.

    A file that can't be read is named, in the table or on standard error, and takes no other with it.

    Raises:
        ReadError: there is nothing in it that can be read.
        UsageError: it holds no such host.
    """
    capture = os.path.join(path, _CAPTURE)  # noqa: PTH118 - as in dump
    if host is None and os.path.isfile(capture):  # noqa: PTH113 - as in dump
        return Folder(found_in(capture))
    from pathlib import Path

    from nvtopo.aggregator import fleet
    from nvtopo.model.conclusions.derive import derive
    from nvtopo.sinks.text import nodes

    kept: dict[str, Found] = {}
    lines: dict[str, Line] = {}

    def see(name: str, node: "NodeTopology", snapshot: "Snapshot | None") -> None:
        lines[name] = nodes.line(name, node, derive(node))
        if name == host or not kept:
            kept[name] = Found(node, snapshot)

    gathered = fleet.read(Path(path), see)
    unreadable = gathered.listed.unreadable
    _say_refused(gathered.readings, unreadable)
    if host is not None:
        if host not in kept:
            raise UsageError(f"--host {host}: expected one of {_named(lines)}, in {path}{hint(host, lines)}")
        return Folder(kept[host])
    if len(lines) == 1 and not unreadable:
        return Folder(next(iter(kept.values())))
    lines |= {name: nodes.unreadable(name, reason) for name, reason in unreadable.items()}
    return Folder(None, tuple(lines), tuple(lines.values()))


def table(folder: Folder, form: str, path: str, columns: int | None) -> str:
    """The table.

    Raises:
        UsageError: the format is one for one node.
    """
    if form != "matrix":
        raise UsageError(f"--format {form} shows one node: expected --host, one of {_named(folder.names)}, in {path}")
    from nvtopo.cli.colour import painter
    from nvtopo.sinks.text import nodes

    return nodes.render(folder.lines, painter(), columns)


def _say_refused(readings: "Mapping[str, Reading]", unreadable: "Mapping[str, str]") -> None:
    """The files that hold nothing that is known, but for those that have a line of their own."""
    from nvtopo.model.formats.printable import printable

    stems = {os.path.splitext(os.path.basename(name))[0]: name for name in readings}  # noqa: PTH119, PTH122 - as in dump
    lined = {stems[name] for name in unreadable if name in stems}
    refused = {name: one.refused for name, one in readings.items() if one.refused is not None and name not in lined}
    for name, reason in list(refused.items())[:_MOST_SAID]:
        click.echo(f"nvtopo: {printable(f'{name}: {reason}')}", err=True)
    if len(refused) > _MOST_SAID:
        click.echo(f"nvtopo: and {len(refused) - _MOST_SAID} more files", err=True)


def _named(names: "Mapping[str, object] | tuple[str, ...]") -> str:
    from nvtopo.model.formats.listing import listed
    from nvtopo.model.formats.printable import printable

    return listed(sorted(map(printable, names)), _MOST_NAMED)
