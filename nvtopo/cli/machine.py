"""The options that select the machine to read, and the snapshot that they give.

Paths are strings here, because importing ``pathlib`` would add a twentieth to the start of ``nvtopo dump``.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from nvtopo.cli.paths import FilePath
from nvtopo.errors import ParseError, ReadError, UsageError

if TYPE_CHECKING:
    from nvtopo.model.records.node import NodeTopology
    from nvtopo.model.records.snapshot import Snapshot
    from nvtopo.sources.machine import Machine
    from nvtopo.sources.nvml.topology import NvmlWorker

_FILE = FilePath(exists=True, dir_okay=False, allow_dash=True)
_FILE_OR_FOLDER = FilePath(exists=True, allow_dash=True)
_DIRECTORY = FilePath(exists=True, file_okay=False)


def _root(_context: click.Context, _option: click.Parameter, root: str) -> str:
    if not any(os.path.isdir(f"{root}/{folder}") for folder in ("sys", "proc")):  # noqa: PTH112 - pathlib costs the start
        raise ReadError(f"--root {root}: expected a directory with the machine's sys and proc, found neither")
    return root


def live_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--root``, ``--nvml`` and ``--node-name``: a live machine, or a recorded tree."""
    for option in (
        click.option("--node-name", envvar="NODE_NAME", help="Name of the node; by default the host name."),
        click.option(
            "--nvml",
            metavar="LIBRARY",
            envvar="NVTOPO_NVML",
            help="NVML library to load, or 'none'. By default libnvidia-ml.so.1; with --root, none.",
        ),
        click.option(
            "--root",
            type=_DIRECTORY,
            default="/",
            callback=_root,
            help="Directory that holds the machine's sys and proc.",
            show_default=True,
        ),
    ):
        function = option(function)
    return function


_INPUTS = (
    "a capture, a NodeTopology in JSON or YAML, or the output of other"
    " tools (nvidia-smi topo -m, -q, -q -x, -L, topo -p, nvlink -s, -R, -c, -e; NCCL's XML or log;"
    " hwloc XML or lstopo; lspci, also -tv; ibstat, ibv_devinfo, ibdev2netdev, show_gids, rdma link; numactl -H; an"
    " archive of /sys), also several in one text, as a log or an issue quotes them. '-' is standard input."
)


def from_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--from FILE``: a capture, a resource or another tool's output instead of this machine."""
    return click.option(
        "--from",
        "source",
        type=_FILE,
        help=f"Read a file instead of this machine: {_INPUTS}",
    )(function)


def from_folder_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """As ``from_option``, and the file may be a folder."""
    return click.option(
        "--from",
        "source",
        type=_FILE_OR_FOLDER,
        help="Read a file instead of this machine, or a folder, each node of it a line of a table (--host shows one):"
        f" {_INPUTS}",
    )(function)


def file_or_folder_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--from``: as ``from_option``, or a folder of such files."""
    return click.option(
        "--from",
        "source",
        type=_FILE_OR_FOLDER,
        help="Read a file that dump reads, or a folder of them, instead of this machine. '-' is standard input.",
    )(function)


def folder_in(source: str | None) -> str | None:
    """What that option names if it is a folder, or a bundle, which is read as one; None for anything else."""
    if source is None or source == "-":
        return None
    is_folder = os.path.isdir(source)  # noqa: PTH112 - pathlib costs the start
    return source if is_folder or (source.endswith((".tgz", ".tar.gz")) and _is_bundle(source)) else None


def _is_bundle(source: str) -> bool:
    from nvtopo.sources.capture import read_input
    from nvtopo.sources.foreign import bundle

    return bundle.nodes_in(read_input(source), source) is not None


def host_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--host NAME``: which host of an input that holds several."""
    return click.option(
        "--host", metavar="NAME|N", help="Choose a host of the file, by name or number. The default is the first."
    )(function)


class Found(NamedTuple):
    """A node, and the snapshot that it was assembled from; None if it was read from a resource or another tool."""

    node: "NodeTopology"
    snapshot: "Snapshot | None"


def begin_node(  # noqa: PLR0913 - what the options of a live machine give
    source: str | None,
    root: str,
    nvml: str | None,
    node_name: str | None,
    host: str | None = None,
    *,
    everything: bool = False,
) -> "Callable[[], Found]":
    """As ``begin``, but gives the node. A ``source`` file is recognised by its content.

    Raises:
        ReadError: a library was named that can't be loaded.
        UsageError: a host was named without a file.
    """
    if source is not None:
        return partial(found_in, source, host)
    if host is not None:
        raise UsageError("--host chooses a host of a file: expected --from FILE too")
    if nvml not in {None, "", "none"}:
        _load(nvml)
    return partial(_assembled, begin(root, nvml, node_name, everything=everything))


def begin(root: str, nvml: str | None, node_name: str | None, *, everything: bool = False) -> "Callable[[], Snapshot]":
    """Start reading the machine; the returned function waits for the snapshot.

    With ``everything``, also what no label and no matrix is made of: for a capture, and for ``doctor``.
    The driver answers meanwhile, so callers import what they need between the two. A library that can't be loaded is no
    driver: a capture and a hook say what is there.
    """
    asking = _asking(root, nvml, upkeep=everything)
    if asking is not None:
        asking.begin()
    return partial(_read, root, node_name, asking, everything=everything)


def _load(library: str) -> None:
    """Refuse a library that was named and can't be loaded. The usual one is not there if there is no driver."""
    from nvtopo.sources.nvml.topology import why_absent

    why = why_absent(library)
    if why is not None:
        raise ReadError(f"--nvml {library}: expected the NVML library, or 'none': {why}")


def machine_of(root: str, nvml: str | None, node_name: str | None, deadline_seconds: float | None = None) -> "Machine":
    """The machine that these options select, whose driver must answer in ``deadline_seconds`` (by default 20 s).

    For repeated readings: it waits only once for a source or device that hangs.
    """
    from nvtopo.sources import reading
    from nvtopo.sources.guarded import Deadlines

    machine = reading.this_machine(root=root, node_name=node_name, asking=_asking(root, nvml, deadline_seconds))
    return machine._replace(deadlines=Deadlines())


def _asking(
    root: str, nvml: str | None, deadline_seconds: float | None = None, *, upkeep: bool = False
) -> "NvmlWorker | None":
    from nvtopo.sources.nvml import head_start
    from nvtopo.sources.nvml.topology import DEADLINE_SECONDS, LIBRARY, NvmlWorker

    library = nvml or ("none" if root.strip("/") else LIBRARY)
    if library == "none":
        return None
    started = None if upkeep else head_start.take(library)
    return started or NvmlWorker(library, deadline_seconds or DEADLINE_SECONDS, upkeep=upkeep)


def _assembled(reading: "Callable[[], Snapshot]") -> Found:
    from nvtopo.model.conclusions.assemble import assemble

    snapshot = reading()
    return Found(assemble(snapshot), snapshot)


def found_in(source: str, host: str | None = None) -> Found:
    """The node in a file: a capture, a resource, or another tool's output; ``-`` is standard input.

    ``host`` chooses among several hosts; the others are named on standard error.

    Raises:
        ReadError: the file can't be read, or is none of these.
        UsageError: it holds no such host.
    """
    from nvtopo.sources.capture import read_input

    content = read_input(source)
    own, refusal = _own_or_refusal(content, source)
    if own is not None:
        if host is not None:
            raise UsageError(f"--host {host}: {source} is of one host")
        return own
    from nvtopo.cli import input_notes
    from nvtopo.sources.foreign.recognise import read_hosts

    try:
        hosts = read_hosts(content, source)
    except ParseError as error:
        raise refusal or error from None
    shown = input_notes.chosen(hosts, host, source)
    if host is None:
        input_notes.say_others(hosts, shown, source)
    return Found(shown.node, None)


def _own_or_refusal(content: bytes, source: str) -> "tuple[Found | None, ParseError | None]":
    """As ``_own``. A bug report may hold a pod's manifest beside the output of a tool: why it is none is kept."""
    try:
        return _own(content, source), None
    except ParseError as error:
        return None, error


def _own(content: bytes, source: str) -> Found | None:
    """The node in a capture or a resource; None for what another tool wrote."""
    from nvtopo.sources.capture import is_capture, parse_capture

    if is_capture(content):
        return _assembled(partial(parse_capture, content, source))
    if b"spec" in content:
        from nvtopo.cli.resource_file import resource_in

        node = resource_in(content, source)
        if node is not None:
            return Found(node, None)
    return None


def _read(root: str, node_name: str | None, asking: "NvmlWorker | None", *, everything: bool) -> "Snapshot":
    from nvtopo.sources import reading

    machine = reading.this_machine(root=root, node_name=node_name, asking=asking)
    return reading.read(machine, reading.all_sources() if everything else reading.SOURCES)
