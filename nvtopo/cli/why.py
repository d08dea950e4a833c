"""``nvtopo why [NODE]``: why a node is not ready, why a label is not there, why a pod does not fit."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from nvtopo.cli.common_options import text_or_json_option
from nvtopo.cli.machine import begin_node, from_option, live_options
from nvtopo.cli.paths import FilePath
from nvtopo.errors import UsageError

if TYPE_CHECKING:
    from nvtopo.checks.check import Machine
    from nvtopo.checks.label_path import FileSeen, Labels, NotSeen, ObjectSeen, Way
    from nvtopo.reports.why import Why

_NO: Final = 1
_CANNOT_KNOW: Final = 3

_HELP = """Explain why a node is not ready, why a label is missing, or why a pod does not fit.

With NODE, asks the API server, and follows each label along its whole path: the facts of the node's agent, NFD's
NodeFeature objects, the Node. Without NODE, reads this machine and its feature file, or the file of --from.

\b
Exit codes: 0 all is as it should be, 1 it is not, 3 it can't be known.
"""


@click.command("why", help=_HELP)
@click.argument("node", required=False)
@click.option("--label", "labels", multiple=True, metavar="NAME", help="Only this label; nvtopo.io/ may be left out.")
@click.option(
    "--pod",
    type=FilePath(exists=True, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Only this pod: whether the node's labels are what its nodeSelector and required affinity ask for. A Pod, Job"
    " or other object with a pod's template, in YAML or JSON. '-' is standard input.",
)
@click.option(
    "--features-dir",
    type=FilePath(path_type=Path),
    help="Directory of the feature file.  [default: NFD's, below --root; with --from none]",
)
@click.option(
    "--kubeconfig",
    type=FilePath(dir_okay=False, path_type=Path),
    help="Kubeconfig file for NODE. By default the pod's service account; outside a pod, $KUBECONFIG.",
)
@text_or_json_option
@from_option
@live_options
def command(  # noqa: PLR0913, PLR0917 - one parameter for each option
    node: str | None,
    labels: tuple[str, ...],
    pod: str | None,
    features_dir: Path | None,
    kubeconfig: Path | None,
    form: str,
    source: str | None,
    root: str,
    nvml: str | None,
    node_name: str | None,
) -> int:
    """Look, compare, print; the exit code is the answer."""
    if labels and pod is not None:
        raise UsageError("why: expected --label or --pod, one of them")
    if node is not None and (source is not None or features_dir is not None or root != "/"):
        raise UsageError("why: NODE is asked about at the API server; --from, --features-dir and --root are without it")
    if node is None and kubeconfig is not None:
        raise UsageError("why: --kubeconfig needs NODE")
    asked = [_name(label) for label in labels]
    if node is not None:
        name, machine, way = _of_cluster(node, kubeconfig)
    else:
        name, machine, way = _of_machine(source, root, nvml, node_name, features_dir)
    why = _answer(name, machine, way, asked, pod)
    click.echo(_shown(why, form, one=bool(asked)), nl=False)
    return _exit(why, asked=bool(asked), pod=pod is not None)


def _name(label: str) -> str:
    """The label as ``features`` names it.

    Raises:
        UsageError: no node has such a label.
    """
    from nvtopo.checks.label_path import NFD_PREFIX
    from nvtopo.model.conclusions.features import PREFIX
    from nvtopo.model.conclusions.label_table import LABELS, PRODUCT_LABELS, row_of
    from nvtopo.model.formats.near import hint

    for name in (label.removeprefix(NFD_PREFIX), PREFIX + label):
        if row_of(name) is not None:
            return name
    known = [row.name.removeprefix(PREFIX) for row in (*LABELS, *PRODUCT_LABELS)]
    near = hint(label.removeprefix(PREFIX), known) or "; docs/labels.md has them all"
    raise UsageError(f"--label {label}: nvtopo makes no label of that name{near}")


def _of_machine(
    source: str | None, root: str, nvml: str | None, node_name: str | None, features_dir: Path | None
) -> "tuple[str, Machine, Way]":
    reading = begin_node(source, root, nvml, node_name)
    from nvtopo.checks.check import Machine
    from nvtopo.cli.doctor import name_of

    found = reading()
    machine = Machine(found.node, found.snapshot)
    file = None
    if features_dir is not None or source is None:
        from nvtopo.sinks.publish.nfd import FEATURES_D

        file = _file(features_dir or Path(root) / FEATURES_D.relative_to("/"))
    return node_name or name_of(found, source), machine, _way(machine, file)


def _file(directory: Path) -> "FileSeen | NotSeen":
    from datetime import UTC, datetime

    from nvtopo.checks.label_path import FileSeen, NotSeen
    from nvtopo.errors import NvtopoError
    from nvtopo.kube.timestamps import rfc3339_of
    from nvtopo.sinks.publish import nfd
    from nvtopo.wire.documents import utf8
    from nvtopo.wire.files import read_file

    path = directory / nfd.FILE_NAME
    try:
        if not directory.is_dir():
            return NotSeen(f"{directory} is not there: no NFD on this machine, or another directory (--features-dir)")
        if not path.exists():
            return FileSeen(str(path), {})
    except OSError as error:
        return NotSeen(f"{directory}: {error.strerror}")
    try:
        text = utf8(read_file(path, nfd.LARGEST_BYTES), str(path))
    except NvtopoError as error:
        return NotSeen(str(error))
    ends = nfd.expiry(text)
    expired = rfc3339_of(ends) if ends is not None and ends <= datetime.now(UTC) else ""
    pairs = (line.partition("=") for line in text.splitlines() if line and not line.startswith("#"))
    return FileSeen(str(path), {name.strip(): value.strip() for name, _, value in pairs}, expired)


def _of_cluster(node: str, kubeconfig: Path | None) -> "tuple[str, Machine | None, Way]":
    from nvtopo.checks.check import Machine
    from nvtopo.checks.label_path import NotSeen, Way
    from nvtopo.cli.resource_file import resource_in
    from nvtopo.errors import ParseError
    from nvtopo.kube import label_way
    from nvtopo.kube.client import connect

    with connect(kubeconfig) as client:
        kept = label_way.read(client, node)
    if isinstance(kept.topology, NotSeen):
        return node, None, Way(kept.topology, None, kept.objects, kept.node)
    try:
        topology = resource_in(kept.topology, f"NodeTopology {node}")
    except ParseError as error:
        return node, None, Way(NotSeen(str(error)), None, kept.objects, kept.node)
    if topology is None:
        return node, None, Way(NotSeen(f"NodeTopology {node} has no spec"), None, kept.objects, kept.node)
    machine = Machine(topology)
    return node, machine, _way(machine, None, kept.objects, kept.node)


def _way(
    machine: "Machine",
    file: "FileSeen | NotSeen | None",
    objects: "tuple[ObjectSeen, ...] | NotSeen | None" = None,
    node: "Labels | NotSeen | None" = None,
) -> "Way":
    from nvtopo.checks.label_path import Way
    from nvtopo.model.conclusions.features import features
    from nvtopo.model.conclusions.product_labels import product_features

    way = Way(features(machine.node, machine.derived), file, objects, node)
    return way.with_product(product_features(machine.node))


def _answer(name: str, machine: "Machine | None", way: "Way", asked: list[str], pod: str | None) -> "Why":
    from nvtopo.checks import label_path, pod_fit
    from nvtopo.checks.report import of_node
    from nvtopo.model.formats.printable import printable
    from nvtopo.reports.why import Why

    report = None if machine is None else of_node(machine)
    if pod is not None:
        from nvtopo.cli import pod_demand

        demand = pod_demand.read(pod)
        labels = label_path.of_node(way)
        fit = None if isinstance(labels, label_path.NotSeen) else pod_fit.of(demand, labels, name)
        return Why(node=printable(name), report=report, pod=fit)
    paths = [label_path.of(label, way) for label in asked] if asked else label_path.all_of(way)
    return Why(node=printable(name), report=report, labels=tuple(paths))


def _shown(why: "Why", form: str, *, one: bool) -> str | bytes:
    from nvtopo.cli.colour import style
    from nvtopo.reports import why as words

    if form == "json":
        return words.as_json(why)
    if why.pod is not None:
        return words.pod_fit(why.pod, why.node, style)
    return words.one_label(why, style) if one else words.everything(why, style)


def _exit(why: "Why", *, asked: bool, pod: bool) -> int:
    if pod:
        return _CANNOT_KNOW if why.pod is None else 0 if why.pod.fits else _NO
    verdicts = {path.verdict for path in why.labels}
    no = bool(verdicts & {"stops", "absent"})
    unknown = "cannot-know" in verdicts
    if not asked:
        no = no or (why.report is not None and why.report.verdict == "not-ready")
        unknown = unknown or why.report is None or why.report.verdict == "cannot-know"
    return _NO if no else _CANNOT_KNOW if unknown else 0
