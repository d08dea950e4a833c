"""``nvtopo simulate``: what a trace of gangs would have met on a cluster, under several policies."""

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from nvtopo.cli.common_options import text_or_json_option
from nvtopo.cli.paths import FilePath
from nvtopo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from nvtopo.placement.fleet import Fleet
    from nvtopo.placement.simulate import Failures

_POLICIES = ("ours", "best-fit", "first-fit", "stock", "random")
_HOUR = 3600.0
_MOST_NODES = 100_000
_COUNT = click.IntRange(1, 100_000)


class _Shape(NamedTuple):
    racks: int
    trays: int
    gpus: int
    racks_per_leaf: int


@click.command("simulate")
@click.option(
    "--trace",
    "trace_file",
    type=FilePath(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    required=True,
    help="CSV of gangs: arrival, duration, and gpus or pods and gpus_per_pod; or a public trace (docs/simulation.md).",
)
@click.option(
    "--from", "directory", type=FilePath(exists=True, path_type=Path), help="Read the cluster from a file or a folder."
)
@click.option(
    "--racks", type=_COUNT, default=8, show_default=True, help="Racks of a synthetic cluster; each is an NVLink domain."
)
@click.option("--trays", type=_COUNT, default=18, show_default=True, help="Nodes of a rack.")
@click.option("--gpus", type=click.IntRange(1, 64), default=4, show_default=True, help="GPUs of a node.")
@click.option("--racks-per-leaf", type=click.IntRange(0, 100_000), default=0, help="Racks that share leaves; 0: one.")
@click.option(
    "--policy", "policies", type=click.Choice(_POLICIES), multiple=True, help="Can be repeated. By default all."
)
@click.option("--across", is_flag=True, help="Let a gang that one domain could hold start in several at once.")
@click.option("--no-backfill", is_flag=True, help="A gang that can't start holds up those behind it.")
@click.option(
    "--speed",
    type=click.FloatRange(0, 1e9, min_open=True),
    default=1.0,
    show_default=True,
    help="How many times as fast gangs arrive.",
)
@click.option("--message-bytes", type=click.IntRange(1, 1 << 50), default=2_000_000, show_default=True)
@click.option(
    "--fail-every-hours", type=click.FloatRange(0, 1e6, min_open=True), help="Mean time in which a node fails."
)
@click.option("--repair-hours", type=click.FloatRange(0, 1e6), default=4.0, show_default=True)
@click.option(
    "--links",
    "links_file",
    type=FilePath(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="What links really achieve, as `nvtopo predicted --format links` writes it.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the random numbers.")
@text_or_json_option
@click.option("--json", "as_json", is_flag=True, hidden=True, help="The same as --format json.")
@click.option("--svg", type=FilePath(dir_okay=False, path_type=Path), help="Write a plot to this file.")
def command(  # noqa: PLR0913, PLR0917 - one argument for each option
    trace_file: Path,
    directory: Path | None,
    racks: int,
    trays: int,
    gpus: int,
    racks_per_leaf: int,
    policies: tuple[str, ...],
    across: bool,
    no_backfill: bool,
    speed: float,
    message_bytes: int,
    fail_every_hours: float | None,
    repair_hours: float,
    links_file: Path | None,
    seed: int,
    form: str,
    as_json: bool,
    svg: Path | None,
) -> None:
    """Replay a trace of gangs, and compare how long they wait and how scattered they are under several policies."""
    from nvtopo.placement import document, simulate, trace
    from nvtopo.placement.policies import POLICIES
    from nvtopo.reports import simulation, simulation_plot
    from nvtopo.sinks.publish.files import write_output
    from nvtopo.wire.files import read_file

    fleet = _fleet(directory, _Shape(racks, trays, gpus, racks_per_leaf))
    gangs = trace.parse(read_file(trace_file, trace.MOST_BYTES), str(trace_file), _seeded(seed, "trace"))
    gangs = tuple(gang._replace(arrival=gang.arrival / speed) for gang in simulate.fitted(gangs, fleet))
    setup = simulate.Setup(
        within=not across,
        backfill=not no_backfill,
        message_bytes=message_bytes,
        failures=_failures(fail_every_hours, repair_hours),
        links={} if links_file is None else document.links_in(read_file(links_file, 1 << 20), str(links_file)),
    )
    runs: dict[str, simulate.Run] = {}
    for policy in dict.fromkeys(policies or _POLICIES):
        draw = _seeded(seed, policy), _seeded(seed, "failures")
        with _progress(policy, len(gangs)) as done:
            runs[policy] = simulate.run(fleet, gangs, POLICIES[policy], setup, *draw, done)
    found = simulation.figures(runs)
    click.echo(simulation.as_json(found) if as_json or form == "json" else simulation.table(found), nl=False)
    if svg is not None:
        write_output(svg, simulation_plot.svg(found).encode())


@contextmanager
def _progress(policy: str, gangs: int) -> "Iterator[Callable[[int], None]]":
    """A bar on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _ended: None
        return
    with click.progressbar(length=gangs, label=f"{policy:<10}", file=sys.stderr) as bar:
        yield bar.update


def _seeded(seed: int, purpose: str) -> "Random":
    from random import Random

    return Random(f"{seed} {purpose}")  # noqa: S311 - equal seeds have to give equal runs


def _fleet(directory: Path | None, shape: _Shape) -> "Fleet":
    from nvtopo.placement.made_fleet import made

    if directory is not None:
        from nvtopo.cli import cluster_source
        from nvtopo.placement import hosts

        return hosts.of_graph(cluster_source.graph(cluster_source.ClusterSource(directory, None, None, None)))
    if shape.racks * shape.trays > _MOST_NODES:
        raise UsageError(f"simulate: expected at most {_MOST_NODES} nodes, got {shape.racks} racks of {shape.trays}")
    return made(*shape)


def _failures(hours: float | None, repair_hours: float) -> "Failures | None":
    from nvtopo.placement.simulate import Failures

    return None if hours is None else Failures(hours * _HOUR, repair_hours * _HOUR)
