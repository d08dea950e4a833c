"""The report: one document for programs, and the same as text for people."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from gputest.gather import CALLS, Gathered
from gputest.rows import Row, Verdict
from nvtopo.model.formats.printable import printable
from nvtopo.model.records.record import Record

VERSION: Final = 1
_VERDICTS: Final[tuple[Verdict, ...]] = ("same", "differ", "explained", "not-compared")
_MOST_DIFFERENCES: Final = 200
_WIDTH: Final = 60


class Step(Record, frozen=True, kw_only=True, omit_defaults=False):
    """A program that was run."""

    name: str
    state: str
    """``ok``, ``failed``, ``hung``, ``missing`` or ``skipped``."""
    seconds: float
    reason: str = ""


class Report(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Everything that was found."""

    gpu_test: int = VERSION
    """Version of this document."""
    nvtopo: str
    """Version of nvtopo."""
    driver: str | None
    gpus: tuple[str, ...]
    """Their names."""
    seconds: float
    summary: dict[str, dict[str, int]]
    """Tool → verdict → rows."""
    steps: tuple[Step, ...]
    scrape: dict[str, Any]
    """What a scrape of the agent costs."""
    driver_calls: dict[str, Any]
    """Calls of one reading and of one sample, and how long they took."""
    rows: tuple[Row, ...]

    @property
    def differing(self) -> int:
        """How many facts differ."""
        return sum(1 for row in self.rows if row.verdict == "differ")


def summary(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """Tool → verdict → rows."""
    counts = Counter((row.tool, row.verdict) for row in rows)
    tools = dict.fromkeys(row.tool for row in rows)
    return {tool: {verdict: counts[tool, verdict] for verdict in _VERDICTS} for tool in tools}


def steps(gathered: Gathered) -> tuple[Step, ...]:
    """The programs, in their order."""
    return tuple(
        Step(name=name, state=output.state, seconds=round(output.seconds, 3), reason=output.reason)
        for name, output in gathered.outputs.items()
    )


def driver_calls(gathered: Gathered) -> dict[str, Any]:
    """What ``gputest.probe_calls`` printed; empty where it did not."""
    output = gathered.outputs[CALLS]
    try:
        return msgspec.json.decode(output.text, type=dict[str, Any]) if output.ok else {}
    except msgspec.MsgspecError:
        return {}


def text(report: Report) -> str:
    """For people."""
    return "\n".join(map(_safe, _lines(report))) + "\n"


def _safe(line: str) -> str:
    return printable(line)


def _lines(report: Report) -> Iterator[str]:
    gpus = ", ".join(f"{count} x {name}" for name, count in Counter(report.gpus).items()) or "no GPU"
    yield f"nvtopo {report.nvtopo} beside the tools of this machine: {gpus}, driver {report.driver or 'not known'}"
    yield ""
    yield f"{'compared with':32}{'same':>8}{'differ':>8}{'explained':>11}{'not compared':>14}"
    for tool, counts in report.summary.items():
        same, differ, explained, absent = (counts[verdict] for verdict in _VERDICTS)
        yield f"{tool:32}{same:8}{differ:8}{explained:11}{absent:14}"
    yield ""
    differing = [row for row in report.rows if row.verdict == "differ"]
    if differing:
        yield f"{len(differing)} differ:"
        yield from (f"  {_row(row)}" for row in differing[:_MOST_DIFFERENCES])
        if len(differing) > _MOST_DIFFERENCES:
            yield f"  and {len(differing) - _MOST_DIFFERENCES} more in report.json"
    else:
        yield "nothing differs"
    for verdict, title in (("explained", "differ for a known reason:"), ("not-compared", "not compared:")):
        yield from _by_reason(report.rows, verdict, title)
    yield from _costs(report)


def _row(row: Row) -> str:
    reason = f" ({row.reason})" if row.reason else ""
    return f"{row.tool}: {row.subject}, {row.fact}: nvtopo {_value(row.nvtopo)}, the tool {_value(row.other)}{reason}"


def _value(value: Any) -> str:
    if value is None:
        return "nothing"
    said = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return said if len(said) <= _WIDTH else f"{said[:_WIDTH]}..."


def _by_reason(rows: Sequence[Row], verdict: str, title: str) -> Iterator[str]:
    """Each reason once, with how often, and one example."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.verdict == verdict:
            found.setdefault((row.tool, row.reason), []).append(row)
    if found:
        yield ""
        yield title
    for (tool, reason), alike in found.items():
        example = f"{alike[0].subject}, {alike[0].fact}"
        yield f"  {tool}: {reason} ({len(alike)}: {example}{' and others' if len(alike) > 1 else ''})"


def _costs(report: Report) -> Iterator[str]:
    cost, calls = report.scrape, report.driver_calls
    if cost.get("scrapeSecondsMedian") is not None:
        yield ""
        median, worst, cpu = (_ms(cost[f"scrape{name}"]) for name in ("SecondsMedian", "SecondsWorst", "CpuSeconds"))
        yield f"a scrape: {median}, at worst {worst}, {cpu} of the processor, {cost['series']} series"
        yield (
            f"the agent: {cost['agentBytes'] >> 20} MiB, its workers {cost['workersBytes'] >> 20} MiB;"
            f" ready after {cost['secondsUntilReady']:.1f} s, ended within {cost['secondsUntilEnded']:.1f} s"
        )
    if calls:
        yield ""
        yield "calls of the driver:"
    for part in ("reading", "open", "traffic", "health"):
        found = calls.get(part)
        if found:
            yield f"  {part}: {found['calls']} calls, {_ms(found['seconds'])}{_slowest(found)}"
    yield ""
    yield "steps:"
    for step in report.steps:
        yield f"  {step.name}: {step.state}, {step.seconds:.1f} s{': ' + step.reason if step.reason else ''}"
    yield f"in all {report.seconds:.0f} s"


def _slowest(part: dict[str, Any]) -> str:
    return f"; most in {part['slowest']}: {_ms(part['slowestSeconds'])}" if part["slowest"] else ""


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"
