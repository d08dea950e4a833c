"""What a command says on standard error of an input that holds more, or less, than it shows."""

from typing import TYPE_CHECKING, Final

import click

from nvtopo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nvtopo.model.records.node import NodeTopology
    from nvtopo.sources.foreign.recognise import ForeignHost

_MOST_LINES: Final = 8
_MOST_NAMED: Final = 12
_KINDS: Final = {
    "gpus": "all GPUs",
    "nics": "all NICs",
    "paths": "how all GPUs are joined",
    "health": "whether its GPUs work",
}


def chosen(hosts: "Sequence[ForeignHost]", wanted: str | None, source: str) -> "ForeignHost":
    """The host that ``--host`` names, by name or by number from 1; the first where it is not given.

    Raises:
        UsageError: the input holds no such host.
    """
    if wanted is None:
        return hosts[0]
    found = next((host for host in hosts if host.name == wanted), None)
    if found is None and wanted.isdecimal() and 0 < int(wanted[:9]) <= len(hosts):
        found = hosts[int(wanted[:9]) - 1]
    if found is None:
        raise UsageError(
            f"--host {wanted}: expected one of {_names(hosts)}, or a number up to {len(hosts)}, in {source}"
        )
    return found


def say_others(hosts: "Sequence[ForeignHost]", shown: "ForeignHost", source: str) -> None:
    """That the input holds more hosts than the one that is shown."""
    others = [host for host in hosts if host is not shown]
    if others:
        name = shown.name or "the first"
        _say(f"{source} holds {len(hosts)} hosts: {name} is shown, --host shows {_names(others)}")


def say_left_out(node: "NodeTopology", source: str) -> None:
    """What the input does not show, so that nothing is said of it; nothing for a machine's own reading."""
    if not node.unseen or (node.unseen == ("health",) and not node.problems):
        return
    from nvtopo.model.formats.printable import printable

    _say(f"{source} does not show {', '.join(_KINDS[kind] for kind in node.unseen)}: what follows from it is left out")
    for problem in node.problems[:_MOST_LINES]:
        _say(printable(f"{problem.subject}: {problem.reason}"))
    if len(node.problems) > _MOST_LINES:
        _say(f"and {len(node.problems) - _MOST_LINES} more")


def _names(hosts: "Sequence[ForeignHost]") -> str:
    from nvtopo.model.formats.listing import listed
    from nvtopo.model.formats.printable import printable

    named = [printable(host.name) or f"number {position}" for position, host in enumerate(hosts, 1)]
    return listed(named, _MOST_NAMED)


def _say(line: str) -> None:
    click.echo(f"nvtopo: {line}", err=True)
