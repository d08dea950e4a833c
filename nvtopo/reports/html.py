"""The acceptance report as one HTML file: the worst first, evidence, the matrix and the picture of each machine.

It asks for nothing outside of itself: pictures are in it, and a policy in its head forbids scripts and requests.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Final, NamedTuple

from nvtopo import __version__
from nvtopo.checks.capacity import TIERS, DomainCapacity
from nvtopo.checks.check import NotKnown
from nvtopo.checks.fleet import FleetReport
from nvtopo.checks.report import VERDICTS, NodeReport, Verdict
from nvtopo.findings.finding import SEVERITIES, Finding
from nvtopo.model.changes import words as change_words
from nvtopo.model.formats.printable import printable
from nvtopo.reports import document
from nvtopo.reports.html_style import STYLE

_WORDS: Final[dict[Verdict, str]] = {"ready": "ready", "not-ready": "not ready", "cannot-know": "cannot be known"}
_MEASURED: Final = ("throughput", "latency", "failure", "upgrade", "evidence")
_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_COLUMNS: Final = "".join(f"<th>{one}</th>" for one in ("Severity", "Subject", "Found", "Expected", "Do", "Where"))
#: As many as fit the first screen.
_MOST_WORST: Final = 10
#: A report on more nodes has the tables of all, and the pictures of the worst.
MOST_PICTURES: Final = 24


class Pictures(NamedTuple):
    """How one machine looks."""

    matrix: str
    svg: str


def render(report: FleetReport, pictures: Mapping[str, Pictures], measured: Mapping[str, str] | None = None) -> str:
    """The file. ``measured`` is what was imported, by column; what is not there is "not measured"."""
    worst = [(name, report.nodes[name]) for name in worst_first(report)]
    title = f"nvtopo doctor: {_WORDS[report.verdict]}"
    parts = [
        f'<h1 class="{report.verdict}">{_said(title)}</h1>',
        f"<p>{_counts(report)}. nvtopo {__version__}, digest <code>{document.digest(report)}</code></p>",
        *_worst(report),
        *_findings("Several nodes", report.findings),
        *_unknown(report.unknown),
        *_room(report.capacity),
        *_gone(report.gone),
        *(part for name, one in worst for part in _node(name, one)),
        *_measured(measured or {}),
        *(part for name, _ in worst[:MOST_PICTURES] if name in pictures for part in _pictures(name, pictures[name])),
    ]
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<title>{_said(title)}</title><style>{STYLE}</style>"
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body><main>\n'
        + "\n".join(parts)
        + "\n</main></body></html>\n"
    )


def worst_first(report: FleetReport) -> list[str]:
    """The nodes' names, those that are not ready first."""
    return sorted(report.nodes, key=lambda name: (-VERDICTS.index(report.nodes[name].verdict), name))


def _said(text: str) -> str:
    return escape(printable(text))


def _counts(report: FleetReport) -> str:
    counts = {verdict: sum(one.verdict == verdict for one in report.nodes.values()) for verdict in VERDICTS}
    return ", ".join(f"{count} {_WORDS[verdict]}" for verdict, count in counts.items() if count) or "no node"


def _worst(report: FleetReport) -> Iterator[str]:
    """The worst findings of all, on the first screen; one node's are there anyway."""
    if len(report.nodes) == 1 and not report.findings:
        return
    found = [("several nodes", one) for one in report.findings]
    found += [(name, one) for name, of_node in report.nodes.items() for one in of_node.findings]
    bad = [entry for entry in found if entry[1].severity != "info"]
    first = sorted(bad, key=lambda entry: (SEVERITIES.index(entry[1].severity), entry))[:_MOST_WORST]
    if first:
        rows = "".join(f"<tr><td>{_said(name)}</td>{_row(one).removeprefix('<tr>')}" for name, one in first)
        more = f" (the first {len(first)} of {len(bad)})" if len(bad) > len(first) else ""
        yield f"<h2>The worst{more}</h2>"
        yield f"<table><thead><tr><th>Node</th>{_COLUMNS}</tr></thead><tbody>{rows}</tbody></table>"


def _node(name: str, report: NodeReport) -> Iterator[str]:
    yield f'<h2><span class="{report.verdict}">{_WORDS[report.verdict]}</span> {_said(name)}</h2>'
    yield from _findings("", report.findings)
    yield from _unknown(report.unknown)
    if report.changes:
        rows = "".join(f"<tr><td>{_said(change_words.text(change))}</td></tr>" for change in report.changes)
        summary = f"<summary>{len(report.changes)} changes since the baseline</summary>"
        yield f"<details open>{summary}<table>{rows}</table></details>"
    outcomes = "".join(f"<tr><td><code>{one}</code></td><td>{how}</td></tr>" for one, how in report.checks.items())
    if outcomes:
        yield f"<details><summary>{len(report.checks)} checks</summary><table>{outcomes}</table></details>"


def _unknown(unknown: tuple[NotKnown, ...]) -> Iterator[str]:
    if unknown:
        rows = "".join(
            f"<tr><td>{_said(one.subject)}</td><td>{_said(one.reason)}</td><td><code>{one.id}</code></td></tr>"
            for one in unknown
        )
        opened = " open" if unknown[0].decisive else ""
        yield f"<details{opened}><summary>{len(unknown)} not known</summary><table>{rows}</table></details>"


def _room(domains: tuple[DomainCapacity, ...]) -> Iterator[str]:
    if domains:
        heads = "".join(
            f"<th>{one}</th>" for one in ("Domain", "Nodes, whole", "GPUs, usable", "Not counted", "Not known")
        )
        rows = "".join(map(_room_row, domains))
        head = f"<thead><tr>{heads}</tr></thead>"
        yield f"<details><summary>Room in {len(domains)} domains</summary><table>{head}{rows}</table></details>"


def _gone(files: tuple[str, ...] | None) -> Iterator[str]:
    if files:
        yield f"<p>In the baseline only: {_said(', '.join(files))}</p>"


def _room_row(one: DomainCapacity) -> str:
    gpus = f"{'?' if one.gpus is None else one.gpus}, {one.usable_gpus}"
    cells = (
        f"{TIERS[one.tier]} {one.domain}",
        f"{one.nodes}, {one.whole_nodes}",
        gpus,
        *(
            "; ".join(f"{', '.join(names)} ({why})" for why, names in part.items())
            for part in (one.left_out, one.unknown)
        ),
    )
    return f"<tr>{''.join(f'<td>{_said(cell)}</td>' for cell in cells)}</tr>"


def _findings(heading: str, findings: Iterable[Finding]) -> Iterator[str]:
    rows = "".join(map(_row, findings))
    if rows:
        yield f"<h2>{heading}</h2>" if heading else ""
        yield f"<table><thead><tr>{_COLUMNS}</tr></thead><tbody>{rows}</tbody></table>"


def _row(one: Finding) -> str:
    cells = (one.subject, one.evidence, one.expected, one.remedy)
    return (
        f'<tr><td class="{one.severity}">{one.severity}</td>{"".join(f"<td>{_said(cell)}</td>" for cell in cells)}'
        f"<td>{one.domain}<br><code>{_said(one.id)}</code></td></tr>"
    )


def _measured(measured: Mapping[str, str]) -> Iterator[str]:
    yield "<h2>Measured</h2>"
    heads = "".join(f"<th>{one}</th>" for one in _MEASURED)
    cells = "".join(f"<td>{_said(measured.get(one, 'not measured'))}</td>" for one in _MEASURED)
    yield f"<table><thead><tr>{heads}</tr></thead><tbody><tr>{cells}</tr></tbody></table>"


def _pictures(name: str, pictures: Pictures) -> Iterator[str]:
    data = base64.b64encode(pictures.svg.encode()).decode("ascii", "replace")
    yield f"<h2>{_said(name)}: how it is connected</h2>"
    yield f'<img alt="{_said(name)}: devices and links" src="data:image/svg+xml;base64,{data}">'
    lines = "\n".join(_said(line) for line in pictures.matrix.split("\n"))
    yield f"<details open><summary>Matrix</summary><pre>{lines}</pre></details>"
