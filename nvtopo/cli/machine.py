"""The options with which a verb says which machine it reads, and the snapshot they give."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nvtopo.model.snapshot import Snapshot

if TYPE_CHECKING:
    from nvtopo.sources.machine import Machine

_FILE = click.Path(exists=False, dir_okay=False, path_type=Path, allow_dash=True)
_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)


def live_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--root``, ``--nvml/--no-nvml`` and ``--node-name``: a live machine, or a recorded tree."""
    for option in (
        click.option("--node-name", envvar="NODE_NAME", help="The node's name; by default the host's."),
        click.option(
            "--nvml/--no-nvml",
            default=None,
            help="Ask the NVIDIA driver. By default it is asked unless --root names a recorded machine.",
        ),
        click.option(
            "--root", type=_DIRECTORY, default=Path("/"), help="Folder that holds the machine's sys and proc."
        ),
    ):
        function = option(function)
    return function


def from_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--from FILE``: a capture instead of this machine."""
    return click.option(
        "--from", "source", type=_FILE, help="Read a capture file instead of this machine; '-' is standard input."
    )(function)


def snapshot_of(source: Path | None, root: Path, nvml: bool | None, node_name: str | None) -> Snapshot:
    """The snapshot that these options ask for."""
    if source is not None:
        from nvtopo.sources.capture import read_capture

        return read_capture(source)
    from nvtopo.sources import reading

    return reading.read(machine_of(root, nvml, node_name))


def machine_of(root: Path, nvml: bool | None, node_name: str | None) -> "Machine":
    """The machine that these options name."""
    from nvtopo.sources import reading

    ask = nvml if nvml is not None else root == Path("/")
    return reading.this_machine(root=str(root), node_name=node_name, ask_nvml=ask)
