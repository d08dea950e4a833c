"""The formats that are of a fleet, one node or many: by name."""

from collections.abc import Mapping
from types import MappingProxyType

from nvtopo.checks.check import Machine
from nvtopo.checks.fleet import FleetReport
from nvtopo.reports import html, junit, prometheus, sarif


def render(
    form: str,
    report: FleetReport,
    machines: Mapping[str, Machine],
    measured: Mapping[str, str] = MappingProxyType({}),
) -> str | bytes:
    """The report as ``junit``, ``sarif``, ``prometheus`` or ``html``, which shows these machines and measurements."""
    if form == "junit":
        return junit.render(report)
    if form == "sarif":
        return sarif.render(report)
    if form == "prometheus":
        return prometheus.render(report)
    pictures = {name: _pictures(machine) for name, machine in _worst(report, machines).items()}
    return html.render(report, pictures, measured)


def _worst(report: FleetReport, machines: Mapping[str, Machine]) -> Mapping[str, Machine]:
    """As many machines as are shown."""
    names = [name for name in html.worst_first(report) if name in machines]
    return {name: machines[name] for name in names[: html.MOST_PICTURES]}


def _pictures(machine: Machine) -> html.Pictures:
    from nvtopo.sinks.picture import svg
    from nvtopo.sinks.text import matrix

    return html.Pictures(
        matrix.render(machine.node, machine.derived), svg.render(machine.node, machine.derived, machine.functions)
    )
