"""``doctor`` on a folder: every node, with a bar while there are many, and what is found by looking at all of them."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

import click

if TYPE_CHECKING:
    from nvtopo.checks.check import Machine, NodeLabels
    from nvtopo.checks.fleet import FleetReport
    from nvtopo.checks.report import NodeReport
    from nvtopo.checks.rows import Row
    from nvtopo.cli.machine import Found
    from nvtopo.model.records.node import NodeTopology
    from nvtopo.model.records.snapshot import Snapshot

    Judge = Callable[[Found, str], tuple[Machine, NodeReport]]

#: With fewer it is done before anybody reads the bar.
_MANY: Final = 50


def examine(folder: Path, judge: "Judge") -> "FleetReport":
    """The report on every node below the folder."""
    from nvtopo.aggregator import fleet
    from nvtopo.checks import cluster, seats
    from nvtopo.checks.fleet import of_fleet
    from nvtopo.checks.report import unreadable
    from nvtopo.checks.rows import row
    from nvtopo.cli.machine import Found
    from nvtopo.cluster.drift_fleet import at_once
    from nvtopo.cluster.graph import build
    from nvtopo.cluster.inventory import Inventory, fold
    from nvtopo.model.formats.printable import printable

    reports: dict[str, NodeReport] = {}
    rows: dict[str, Row] = {}
    objects: dict[str, NodeLabels] = {}

    def see(name: str, node: "NodeTopology", snapshot: "Snapshot | None") -> None:
        shown = printable(name)  # a file's name may be no text
        machine, reports[shown] = judge(Found(node, snapshot), name)
        rows[shown] = row(machine)
        if machine.labels is not None:
            objects[name] = machine.labels

    with _Bar() as bar:
        gathered = fleet.read(folder, see, bar.step)
    unread = gathered.listed.unreadable
    reports |= {printable(name): unreadable(printable(reason)) for name, reason in unread.items()}
    graph = build(fold(Inventory(), gathered.listed), None, gathered.readings)
    shared = [one.finding for one in (*graph.standing.shared, *at_once(graph))]
    return of_fleet(reports, shared, cluster.compared(rows), seats.room(graph, objects))


def shown(
    form: str,
    report: "FleetReport",
    machines: "Mapping[str, Machine]",
    measured: Mapping[str, str] = MappingProxyType({}),
) -> str | bytes:
    """The report in one of the formats."""
    if form == "text":
        from nvtopo.cli.colour import style
        from nvtopo.reports import text

        return text.fleet(report, style)
    from nvtopo.reports import document, formats

    return document.render(report) if form == "json" else formats.render(form, report, machines, measured)


class _Bar:
    """How many files are read, on standard error; nothing if that is no terminal or there are few."""

    def __init__(self) -> None:
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            click.echo("\r\033[K", err=True, nl=False)

    def step(self, done: int, total: int) -> None:
        """One more file is read."""
        if total >= _MANY and sys.stderr.isatty() and done % max(1, total // 100) == 0:
            self._shown = True
            width = 40 * done // total
            click.echo(f"\r[{'#' * width}{'.' * (40 - width)}] {done} of {total} files", err=True, nl=False)
