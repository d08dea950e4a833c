"""All rows, from what was gathered: a pure function. One comparison that fails never stops the others."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

import msgspec

from gputest.compare import driver, kernel, nvlink, outputs, query, topo
from gputest.gather import AGENT, CALLS, CAPTURE, Gathered, dump_of
from gputest.programs import Output
from gputest.rows import Of, Row
from nvtopo.errors import ParseError
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.training import BOOT_GRACE_SECONDS
from nvtopo.model.records.facts import GpuFacts
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sources.foreign import smi_nvlink
from nvtopo.sources.foreign.given import Given
from nvtopo.sources.foreign.recognise import read_foreign

COMMANDS: Final = "commands of nvtopo"
_TRAINING: Final = "soon after boot the agent waits for links that train"

Compare = Callable[[], Iterable[Row]]
CompareLinks = Callable[[tuple[GpuFacts, ...], tuple[GpuFacts, ...]], Iterator[Row]]
_Probe = TypeVar("_Probe")


def judge(gathered: Gathered, snapshot: Snapshot | None) -> tuple[Row, ...]:
    """Every row; without a snapshot nothing can be compared, which the first rows say."""
    return tuple(_rows(gathered, snapshot))


def _rows(gathered: Gathered, snapshot: Snapshot | None) -> Iterator[Row]:
    steps = gathered.outputs
    yield from _own(steps)
    if snapshot is None:
        for name in (driver.TOOL, kernel.TOOL, topo.TOOL, query.TOOL, nvlink.STATES, nvlink.ENDS):
            yield Of(name, "node").not_compared("everything", "there is no capture")
        return
    node = assemble(snapshot)
    for name, compare in _comparisons(gathered, snapshot, node):
        yield from _guarded(name, compare)


def _own(steps: dict[str, Output]) -> Iterator[Row]:
    """The commands of nvtopo have to work wherever a driver is."""
    names = (CAPTURE, *(dump_of(form) for form in outputs.FORMATS), AGENT)
    for name in names:
        output = steps[name]
        of = Of(COMMANDS, name)
        if output.state == "skipped":
            yield of.not_compared("worked", output.reason)
        else:
            yield of.row("worked", "yes", "yes") if output.ok else of.differ("worked", "no", None, output.reason)
    if not steps[CALLS].ok:
        yield Of(CALLS, "node").not_compared("measured", steps[CALLS].reason)


def _comparisons(gathered: Gathered, snapshot: Snapshot, node: NodeTopology) -> Iterator[tuple[str, Compare]]:
    steps = gathered.outputs
    facts = snapshot.nvml
    gpus = facts.gpus if facts else ()
    for tool, compare in (
        (kernel.TOOL, lambda: kernel.rows(snapshot, node, _decoded(steps[kernel.TOOL], kernel.Probe))),
        (topo.TOOL, lambda: topo.rows(snapshot, node, _node(steps[topo.TOOL], topo.TOOL))),
        (query.TOOL, lambda: query.rows(snapshot, node, _node(steps[query.TOOL], query.TOOL))),
        (nvlink.STATES, lambda: _links(gpus, nvlink.STATES, nvlink.states, steps[nvlink.STATES])),
        (nvlink.ENDS, lambda: _links(gpus, nvlink.ENDS, nvlink.ends, steps[nvlink.STATES], steps[nvlink.ENDS])),
    ):
        yield tool, _if_ok(steps[tool], tool, compare)

    def of_driver() -> Iterator[Row]:
        if facts is None:
            yield Of(driver.TOOL, "node").differ("answers", None, "yes", "pynvml is answered and nvtopo is not")
            return
        yield from driver.rows(facts, node, _decoded(steps[driver.TOOL], driver.Probe))

    yield driver.TOOL, _if_ok(steps[driver.TOOL], driver.TOOL, of_driver)
    for form in outputs.FORMATS:
        output = steps[dump_of(form)]
        if output.ok:
            yield outputs.DUMP, lambda form=form, output=output: outputs.dump_rows(form, node, output.text)  # type: ignore[misc]
    if gathered.agent.output.ok:
        training = _TRAINING if _just_booted(snapshot) else ""
        yield outputs.FEATURES, lambda: outputs.feature_rows(node, gathered.agent.features, training)
        yield outputs.PAGE, lambda: outputs.page_rows(node, gathered.agent.page, training)


def _just_booted(snapshot: Snapshot) -> bool:
    uptime = snapshot.host.uptime_seconds if snapshot.host else None
    return uptime is not None and uptime < BOOT_GRACE_SECONDS


def _if_ok(output: Output, tool: str, compare: Compare) -> Compare:
    if output.ok:
        return compare
    return lambda: [Of(tool, "node").not_compared("everything", output.reason)]


def _guarded(tool: str, compare: Compare) -> Iterator[Row]:
    """Its rows; a text that can't be read, or a mistake of this test, is a row."""
    of = Of(tool, "node")
    try:
        yield from compare()
    except (ParseError, msgspec.MsgspecError) as error:
        yield of.not_compared("everything", f"its output can't be read: {error}")
    except Exception as error:  # noqa: BLE001 - a mistake in one comparison must not cost the others
        yield of.not_compared("the rest", f"a mistake of this test: {type(error).__name__}: {error}")


def _decoded(output: Output, kind: type[_Probe]) -> _Probe:
    return msgspec.json.decode(output.text, type=kind)


def _node(output: Output, name: str) -> NodeTopology:
    return read_foreign(output.text, name)


def _links(gpus: tuple[GpuFacts, ...], name: str, compare: CompareLinks, *parts: Output) -> Iterator[Row]:
    """Rows of the links in these texts together, less what failed; and what could not be read of them."""
    given = Given(b"\n".join(part.text for part in parts if part.ok), name)
    if not smi_nvlink.looks_like(given):
        raise given.refused("a text without a GPU's line", f"the output of `{name}`")
    theirs, problems = smi_nvlink.read_links(given)
    yield from compare(gpus, theirs)
    for problem in problems:
        yield Of(name, problem.subject).not_compared("the text", problem.reason)
