"""The options with which a verb says which machine it reads, and the snapshot they give.

Paths are texts here: ``pathlib`` would be a twentieth of a dump's start.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from nvtopo.model.node import NodeTopology
    from nvtopo.model.snapshot import Snapshot
    from nvtopo.sources.machine import Machine
    from nvtopo.sources.nvml import NvmlWorker

#: For a device's answer to all that the loop asks of it.
_DEVICE_SECONDS = 5.0
_FILE = click.Path(exists=False, dir_okay=False, allow_dash=True)
_DIRECTORY = click.Path(exists=True, file_okay=False)


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
        click.option("--root", type=_DIRECTORY, default="/", help="Folder that holds the machine's sys and proc."),
    ):
        function = option(function)
    return function


def from_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--from FILE``: a capture, a resource or another tool's output instead of this machine."""
    return click.option(
        "--from",
        "source",
        type=_FILE,
        help="Read a file instead of this machine: a capture, a NodeTopology in JSON or YAML, or what another tool"
        " wrote (nvidia-smi topo -m, -q, -q -x, nvlink -s; NCCL or hwloc XML; ibstat; lspci; an archive of /sys)."
        " '-' is standard input.",
    )(function)


class Found(NamedTuple):
    """A node, and the facts that it was assembled from where it is a machine's own or a capture's."""

    node: "NodeTopology"
    snapshot: "Snapshot | None"


def begin_node(source: str | None, root: str, nvml: str | None, node_name: str | None) -> "Callable[[], Found]":
    """As ``begin``, for the node; a file is a capture or another tool's output, told by its content."""
    if source is not None:
        return partial(found_in, source)
    return partial(_assembled, begin(root, nvml, node_name))


def begin(root: str, nvml: str | None, node_name: str | None) -> "Callable[[], Snapshot]":
    """Begin to read what these options ask for; the function returned gives the snapshot.

    The driver answers meanwhile: what the caller has to import is best imported between the two.
    """
    asking = _asking(root, nvml)
    if asking is not None:
        asking.begin()
    return partial(_read, root, node_name, asking)


def machine_of(root: str, nvml: str | None, node_name: str | None, deadline_seconds: float | None = None) -> "Machine":
    """The machine that these options name; its driver has ``deadline_seconds`` for an answer, or 20 s.

    It is read again and again: what hangs is waited for once.
    """
    from nvtopo.sources import reading
    from nvtopo.sources.patience import Patience

    machine = reading.this_machine(root=root, node_name=node_name, asking=_asking(root, nvml, deadline_seconds))
    return machine._replace(patience=Patience(_DEVICE_SECONDS))


def _asking(root: str, nvml: str | None, deadline_seconds: float | None = None) -> "NvmlWorker | None":
    from nvtopo.sources.nvml import DEADLINE_SECONDS, LIBRARY, NvmlWorker

    library = nvml or ("none" if root.strip("/") else LIBRARY)
    return None if library == "none" else NvmlWorker(library, deadline_seconds or DEADLINE_SECONDS)


def _assembled(reading: "Callable[[], Snapshot]") -> Found:
    from nvtopo.model.assemble import assemble

    snapshot = reading()
    return Found(assemble(snapshot), snapshot)


def found_in(source: str) -> Found:
    """The node in a file: a capture, a resource, or what another tool wrote; ``-`` is standard input.

    Raises:
        ReadError: it can't be read, or is none of them.
    """
    from nvtopo.sources.capture import is_capture, parse_capture, read_input

    content = read_input(source)
    if is_capture(content):
        return _assembled(partial(parse_capture, content, source))
    if b"spec" in content:
        from nvtopo.cli.resource_file import resource_in

        node = resource_in(content, source)
        if node is not None:
            return Found(node, None)
    from nvtopo.sources.foreign.recognise import read_foreign

    return Found(read_foreign(content, source), None)


def _read(root: str, node_name: str | None, asking: "NvmlWorker | None") -> "Snapshot":
    from nvtopo.sources import reading

    return reading.read(reading.this_machine(root=root, node_name=node_name, asking=asking))
