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
    """``--root``, ``--nvml`` and ``--node-name``: a live machine, or a recorded tree."""
    for option in (
        click.option("--node-name", envvar="NODE_NAME", help="The node's name; by default the host's."),
        click.option(
            "--nvml",
            metavar="LIBRARY",
            envvar="NVTOPO_NVML",
            help="NVML library to ask, or 'none'. By default libnvidia-ml.so.1, and none for a recorded machine.",
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


def snapshot_of(source: Path | None, root: Path, nvml: str | None, node_name: str | None) -> Snapshot:
    """The snapshot that these options ask for."""
    if source is not None:
        from nvtopo.sources.capture import read_capture

        return read_capture(source)
    from nvtopo.sources import reading

    return reading.read(machine_of(root, nvml, node_name))


def machine_of(root: Path, nvml: str | None, node_name: str | None) -> "Machine":
    """The machine that these options name."""
    from nvtopo.sources import reading
    from nvtopo.sources.nvml import LIBRARY

    library = nvml or ("none" if root != Path("/") else LIBRARY)
    return reading.this_machine(
        root=str(root), node_name=node_name, nvml_library=None if library == "none" else library
    )
