"""What ``nvtopo export`` is given beside the cluster: Slurm's names of nodes, and the file before."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from nvtopo.errors import ParseError, ReadError

if TYPE_CHECKING:
    from nvtopo.cli.cluster_source import ClusterSource
    from nvtopo.cluster.graph import ClusterGraph
    from nvtopo.cluster.taints import Target
    from nvtopo.exporters.schedulers.slurm_kept import Before

_LARGEST_BYTES: Final = 64 << 20
_NONE: Final = "-"
_WORDS: Final = 2
_LABEL: Final = "slurm.node.name"

gangs_option = click.option(
    "--gangs-per-domain",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Gangs that an NVLink domain admits at a time, for dra-domains.",
)


def taints(source: "ClusterSource", graph: "ClusterGraph") -> "Mapping[Target, str]":
    """The devices that would be tainted if their GPUs stay as they are now: device → the code of the fault.

    Raises:
        ApiError: the API server refused, or did not answer.
        ParseError: its answer is no list of ResourceSlices.
    """
    from nvtopo.cluster.drift import Timing
    from nvtopo.cluster.slice_index import SliceIndex
    from nvtopo.cluster.taints import DeviceTaints
    from nvtopo.exporters.shadows import DRIVER
    from nvtopo.kube import resource_slices
    from nvtopo.kube.client import connect

    with connect(source.kubeconfig) as client:
        pages = client.pages(resource_slices.COLLECTION)
        read = [resource_slices.read(item) for page in pages for item in page.items]
    slices, policy = SliceIndex(), DeviceTaints(Timing(0, 0), own_driver=DRIVER)
    slices.replace({one.name: one.value for one in read})
    for name, node in graph.nodes.items():
        policy.see(name, node, slices, 0.0, first=True)
    return policy.decide(graph.nodes, slices, 0.0).taints


def text_before(path: Path) -> str | None:
    """What the file says; None if there is none.

    Raises:
        ReadError: it can't be read.
    """
    from nvtopo.wire.files import read_file

    try:
        return read_file(path, _LARGEST_BYTES).decode("utf-8", "strict") if path.exists() else None
    except UnicodeDecodeError as error:
        raise ReadError(f"{path}: expected text in UTF-8") from error


def before(path: Path) -> "Before":
    """The topology of Slurm that a file has.

    Raises:
        ReadError: it is none.
    """
    from nvtopo.exporters.schedulers.slurm_kept import Before, Switch
    from nvtopo.fabrics import slurm_lines
    from nvtopo.fabrics.refused import Refused

    try:
        lines = slurm_lines.read(text_before(path) or "")
    except Refused as error:
        raise ReadError(f"{path}: no topology of Slurm to keep places from: {error}") from error
    return Before(
        {line.name: Switch(line.name, line.switches, line.nodes) for line in lines.switches},
        tuple((line.name, line.nodes) for line in lines.blocks),
        lines.sizes,
    )


def slurm_names(path: Path) -> dict[str, str | None]:
    """Node → its name in Slurm, for the nodes that Slurm runs on.

    The file has a line for each node, ``NODE NAME``, or is what ``kubectl get pods -o json`` prints of slurmd's pods.

    Raises:
        ReadError: it is neither, or two nodes have one name.
    """
    from nvtopo.wire.files import read_file

    content = read_file(path, _LARGEST_BYTES)
    found = _of_pods(path, content) if content.lstrip().startswith(b"{") else _of_lines(path, content)
    homes: dict[str, str] = {}
    for node, name in found.items():
        if name is not None and homes.setdefault(name, node) != node:
            raise ReadError(f"{path}: expected each name of Slurm once, {name} is {homes[name]} and {node}")
    return found


def _of_lines(path: Path, content: bytes) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != _WORDS or not all(word.isprintable() for word in words):
            raise ReadError(f"{path}: line {number}: expected NODE NAME, got {line.strip()[:60]!r}")
        found[words[0]] = None if words[1] == _NONE else words[1]
    return found


def _of_pods(path: Path, content: bytes) -> dict[str, str | None]:
    import msgspec

    from nvtopo.wire.documents import Json

    class Metadata(msgspec.Struct, frozen=True):
        labels: dict[str, str] = {}

    class Spec(msgspec.Struct, frozen=True, rename="camel"):
        node_name: str = ""
        hostname: str = ""

    class Pod(msgspec.Struct):
        metadata: Metadata = Metadata()
        spec: Spec = Spec()

    class Pods(msgspec.Struct):
        items: list[Pod] = []

    try:
        pods = Json(Pods, "a list of pods").read(content, str(path))
    except ParseError as error:
        raise ReadError(str(error)) from error
    named = ((pod.spec.node_name, pod.metadata.labels.get(_LABEL) or pod.spec.hostname) for pod in pods.items)
    return {node: name for node, name in named if node and name}
