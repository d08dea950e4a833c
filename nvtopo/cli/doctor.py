"""``nvtopo doctor``: whether a node, or every node of a folder, is ready, and what is wrong if not."""

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import click

from nvtopo.cli.doctor_output import Output
from nvtopo.cli.doctor_probes import Probes, probe_options
from nvtopo.cli.machine import begin_node, file_or_folder_option, folder_in, host_option, live_options
from nvtopo.cli.paths import FilePath
from nvtopo.errors import NvtopoError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nvtopo.checks.check import Machine, NodeLabels
    from nvtopo.checks.fleet import FleetReport
    from nvtopo.checks.report import NodeReport, Verdict
    from nvtopo.cli.machine import Found
    from nvtopo.findings.expectation import Expectations
    from nvtopo.model.conclusions.derive import Derived
    from nvtopo.model.records.node import NodeTopology
    from nvtopo.model.samples.measured import Measured

R = TypeVar("R", "NodeReport", "FleetReport")

_FORMATS = ("text", "json", "junit", "sarif", "prometheus", "html")
_EXITS: "Final[dict[Verdict, int]]" = {"ready": 0, "not-ready": 1, "cannot-know": 3}
_NOT_WRITTEN = 1

_HELP = """Say whether this node is ready for jobs, and what is wrong with it, the worst first.

With --from a folder, every node in it. Exits 0 if all are ready, 1 if one is not, 3 if it can't be known.

\b
  text        for people: each finding with what to do
  json        {"verdict", "findings"}; of a folder {"verdict", "nodes", "findings"}
  junit       a test suite for each node, a case for each check
  sarif       a result for each finding
  prometheus  series for a textfile collector
  html        one file with evidence, matrix and picture, to hand over
"""


@click.command("doctor", help=_HELP)
@file_or_folder_option
@click.option("--format", "form", type=click.Choice(_FORMATS), default="text", show_default=True, help="Output format.")
@click.option(
    "--policy",
    type=FilePath(exists=True, dir_okay=False, path_type=Path),
    help="Expectations by hardware shape, in YAML or JSON, as for `agent --expect`.",
)
@click.option("--write-policy", is_flag=True, help="Print what this node has as a policy, if it is ready.")
@click.option(
    "--against",
    type=FilePath(exists=True, path_type=Path),
    help="An earlier capture or resource, or a folder of them: say what changed since.",
)
@click.option(
    "--nodes",
    type=FilePath(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="Compare with labels and resources of the Nodes in this file, which `kubectl get nodes -o json` wrote; with"
    " `kubectl get nodes,net-attach-def -A -o json` also with networks. '-' is standard input.",
)
@click.option(
    "--measured",
    multiple=True,
    type=FilePath(exists=True, dir_okay=False, path_type=Path),
    help="Output of nccl-tests, nvbandwidth, perftest, gdsio, fio or dcgmi diag (JSON): compare it with what the links"
    " carry. May be given again.",
)
@click.option("--plan", is_flag=True, help="Print what to run to measure the links. Runs and checks nothing.")
@click.option(
    "--sign",
    nargs=2,
    metavar="KEY FILE",
    type=FilePath(dir_okay=False, path_type=Path),
    help="Sign what is printed with a private key (PEM, EC P-256 or Ed25519); the signature goes to FILE, in base64.",
)
@probe_options
@click.option("--server", metavar="URL", help="Ask an aggregator about its cluster, such as http://127.0.0.1:8080.")
@click.option(
    "--token-file",
    type=FilePath(exists=True, dir_okay=False, path_type=Path),
    help="File with the bearer token for --server.",
)
@host_option
@live_options
def command(  # noqa: PLR0913, PLR0917 - one parameter for each option
    source: str | None,
    form: str,
    policy: Path | None,
    write_policy: bool,
    against: Path | None,
    nodes: Path | None,
    measured: tuple[Path, ...],
    plan: bool,
    sign: tuple[Path, Path] | None,
    probes: Probes,
    server: str | None,
    token_file: Path | None,
    host: str | None,
    root: str,
    nvml: str | None,
    node_name: str | None,
) -> int:
    """Read, judge, print; the exit code is the verdict's."""
    output = Output(form, sign).checked()
    probes.checked(elsewhere=source is not None or server is not None or plan)
    if plan and server is not None:
        raise UsageError("doctor: --plan is for this node, or with --from")
    if plan:
        from nvtopo.cli.doctor_plan import print_plan

        return print_plan(source, output, root, nvml, node_name, host)
    if server is not None:
        if write_policy or measured or any(one is not None for one in (source, policy, against, nodes, host)):
            raise UsageError("doctor: --server is with --format, --sign and --token-file only")
        return _cluster(server, token_file, output)
    if write_policy and (form != "text" or measured or policy or against or nodes):
        raise UsageError("doctor: --write-policy goes with one node alone, without --format or what it is judged by")
    folder = folder_in(source)
    if folder is not None:
        if host is not None or write_policy:
            raise UsageError("--host and --write-policy are for one node, and --from is a folder")
        return _many(Path(folder), output, _due(policy, nodes, measured), against)
    reading = begin_node(source, root, nvml, node_name, host, everything=True)
    from nvtopo.checks.check import Machine

    due = _due(policy, nodes, measured)
    found = reading()
    name = name_of(found, source)
    if write_policy:
        return _write_policy(Machine(found.node, found.snapshot), name)
    machine, report = _judged(found, due, name)
    if against is not None:
        report = _with_changes(report, machine, against)
    report = probes.added(_with_measured(report, due, {name: machine}), machine)
    output.write(_shown(form, report, name, machine, due))
    return _EXITS[report.verdict]


def name_of(found: "Found", source: str | None) -> str:
    """The node's name, else that of the file."""
    from nvtopo.model.formats.printable import printable

    host = found.snapshot.host if found.snapshot is not None else None
    return printable((host.name if host else "") or ("node" if source in (None, "-") else Path(source or "").stem))


class _Due(NamedTuple):
    """What nodes are compared with."""

    policy: "Expectations | None"
    labels: "Mapping[str, NodeLabels] | None"
    """Node → what its Node object says; None if none were asked for."""
    measured: "Measured | None"
    """What other programs measured; None if nothing was given."""

    @property
    def columns(self) -> "Mapping[str, str]":
        """What of it the acceptance report shows."""
        from nvtopo.checks import measured

        return {} if self.measured is None else measured.shown(self.measured)


def _due(policy: Path | None, nodes: Path | None, measured: tuple[Path, ...]) -> _Due:
    from nvtopo.cli import node_objects
    from nvtopo.findings.expectation import expectations_in
    from nvtopo.sources.capture import read_input
    from nvtopo.sources.foreign import measurements

    runs = [measurements.read(read_input(file), str(file)) for file in measured]
    return _Due(
        None if policy is None else expectations_in(read_input(policy), str(policy)),
        None if nodes is None else node_objects.nodes_in(nodes),
        measurements.joined(runs) if runs else None,
    )


def _with_measured(report: "R", due: _Due, machines: "Mapping[str, Machine]") -> "R":
    if due.measured is None:
        return report
    from nvtopo.checks.measured import with_measured

    return with_measured(report, due.measured, machines)


def _judged(
    found: "Found", due: _Due, name: str, derive: "Callable[[NodeTopology], Derived] | None" = None
) -> "tuple[Machine, NodeReport]":
    """The node as its policy sees it, and the report; ``derive`` if what follows from alike nodes is remembered."""
    from nvtopo.checks import policy, workload
    from nvtopo.checks.check import Machine, NodeLabels
    from nvtopo.checks.report import of_node

    node = found.node if due.policy is None else policy.due(found.node, found.snapshot, due.policy)
    labels = None if due.labels is None else due.labels.get(name, NodeLabels(None))
    judged = node or found.node
    machine = Machine(judged, found.snapshot, None if derive is None else derive(judged), labels)
    report = of_node(machine, policy.unread(machine) if node is not None else (policy.NO_SHAPE,))
    return machine, report if due.policy is None else workload.raised(report, due.policy.workload_of(found.node))


def _with_changes(report: "NodeReport", machine: "Machine", against: Path) -> "NodeReport":
    from msgspec.structs import replace

    from nvtopo.checks.check import Machine
    from nvtopo.checks.since import since
    from nvtopo.cli.machine import found_in

    if against.is_dir():
        raise UsageError("--against: expected a file, since one node is judged; a folder goes with --from FOLDER")
    before = found_in(str(against))
    return replace(report, changes=since(Machine(before.node, before.snapshot), machine))


def _write_policy(machine: "Machine", name: str) -> int:
    import msgspec

    from nvtopo.checks import policy
    from nvtopo.checks.report import of_node
    from nvtopo.model.formats import yaml

    report = of_node(machine)
    if report.verdict != "ready":
        worst = report.findings[0].evidence if report.findings else report.unknown[0].reason
        click.echo(f"nvtopo: no policy is written: {name} is not known to be good: {worst}", err=True)
        return _NOT_WRITTEN
    click.echo(yaml.text_of(msgspec.to_builtins(policy.learned(machine, name))), nl=False)
    return 0


def _shown(form: str, report: "NodeReport", name: str, machine: "Machine", due: _Due) -> str | bytes:
    if form == "text":
        from nvtopo.cli.colour import style
        from nvtopo.reports import text

        return text.node(report, name, style)
    from nvtopo.checks.fleet import of_fleet
    from nvtopo.reports import document, formats

    if form == "json":
        return document.render(report)
    return formats.render(form, of_fleet({name: report}), {name: machine}, due.columns)


def _many(folder: Path, output: Output, due: _Due, against: Path | None) -> int:
    from msgspec.structs import replace

    from nvtopo.cli import doctor_fleet
    from nvtopo.cluster.judging import derived_of

    if against is not None and not against.is_dir():
        raise UsageError("--against: expected a folder, since --from is one")
    machines: dict[str, Machine] = {}

    def judge(found: "Found", name: str) -> "tuple[Machine, NodeReport]":
        machine, report = _judged(found, due, name, derived_of)
        if against is not None:
            report = _changed(report, machine, against, name)
        if output.form == "html" or due.measured is not None:
            machines[name] = machine
        return machine, report

    report = doctor_fleet.examine(folder, judge)
    if against is not None:
        report = replace(report, gone=_gone(against, report.nodes))
    report = _with_measured(report, due, machines)
    output.write(doctor_fleet.shown(output.form, report, machines, due.columns))
    return _EXITS[report.verdict]


def _cluster(server: str, token_file: Path | None, output: Output) -> int:
    from nvtopo.cli import cluster_source, doctor_fleet
    from nvtopo.reports import of_graph

    report = of_graph.of_document(cluster_source.document(cluster_source.ClusterSource(None, server, token_file, None)))
    output.write(doctor_fleet.shown(output.form, report, {}))
    return _EXITS[report.verdict]


def _gone(baseline: Path, nodes: "Mapping[str, NodeReport]") -> tuple[str, ...]:
    from nvtopo.model.formats.printable import printable

    return tuple(
        sorted({printable(file.stem) for file in baseline.glob("*.json")} - {Path(name).name for name in nodes})
    )


def _changed(report: "NodeReport", machine: "Machine", folder: Path, name: str) -> "NodeReport":
    """Against the file of the same name as the node, if there is one."""
    file = folder / f"{Path(name).name}.json"
    try:
        return _with_changes(report, machine, file) if file.is_file() else report
    except NvtopoError as error:
        click.echo(f"nvtopo: {error}", err=True)
        return report
