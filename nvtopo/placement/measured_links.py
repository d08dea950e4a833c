"""What was measured of links, level by level: output of nccl-tests and nvbandwidth on the nodes of a fleet.

The bus bandwidth of a collective is what its slowest link carried, whatever its size (nccl-tests' PERFORMANCE.md). So
a run over hosts that meet at a level is a measurement of that level. Of several the slowest counts. The latency is not
measured by it, and stays what it was.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from nvtopo.model.samples.measured import Collective, Copies, Measured
from nvtopo.placement.fleet import NODE, Fleet, Path
from nvtopo.placement.links import DEFAULTS, LEAF, Link

#: Below that, what a program measures is how long one message takes.
LARGE_BYTES: Final = 64 << 20
_PAIRS: Final = "device_to_device"
_BOTH_WAYS: Final = "bidirectional"


class Overrides(NamedTuple):
    """The links to use, and what of the output was not used."""

    links: Mapping[str, Link]
    unused: tuple[str, ...]


def overrides(measured: Measured, fleet: Fleet, given: Mapping[str, Link]) -> Overrides:
    """The given links with those that were measured in their place."""
    rates: dict[str, int] = {}
    unused: list[str] = []
    paths = {domain.host.name: domain.path for domain in fleet.domains(0) if domain.host is not None}
    found = (
        *(_collective(run, paths, fleet.levels) for run in measured.collectives),
        *(_copies(table, paths) for table in measured.copies),
    )
    for one in found:
        if isinstance(one, str):
            unused.append(one)
        else:
            rates[one[0]] = min(one[1], rates.get(one[0], one[1]))
    return Overrides({**given, **with_rates(rates, given)}, tuple(unused))


def with_rates(rates: Mapping[str, int], given: Mapping[str, Link]) -> Mapping[str, Link]:
    """Links of these rates, with the latency that was given."""
    return {
        level: Link((given.get(level) or DEFAULTS.get(level, LEAF)).latency_ps, max(1, rate))
        for level, rate in rates.items()
    }


def _collective(run: Collective, paths: Mapping[str, Path], levels: tuple[str, ...]) -> tuple[str, int] | str:
    where = ", ".join(run.ranks) or "a collective"
    if run.largest_bytes < LARGE_BYTES:
        return f"{where}: its largest message has {run.largest_bytes} bytes, that is latency"
    named = list(run.ranks) or (list(paths) if len(paths) == 1 else [])
    found = [next(_named(host, paths), None) for host in named]
    if not found or None in found:
        return f"{where}: the hosts are not in the graph"
    nodes = [path for path in found if path is not None]
    if len(nodes) == 1 and len(next(iter(run.ranks.values()), (0, 1))) == 1:
        return f"{where}: one GPU sends nothing"
    shared = len(nodes[0])
    for path in nodes[1:]:
        shared = next((at for at in range(shared) if path[at] != nodes[0][at]), shared)
    return levels[len(levels) - 1 - shared], run.bytes_per_second


def _named(host: str, paths: Mapping[str, Path]) -> Iterator[Path]:
    """A node by its name, or by its name without a domain."""
    if host in paths:
        yield paths[host]
    short = host.partition(".")[0]
    yield from (path for name, path in paths.items() if name.partition(".")[0] == short)


def _copies(table: Copies, paths: Mapping[str, Path]) -> tuple[str, int] | str:
    if not table.name.startswith(_PAIRS) or _BOTH_WAYS in table.name or not table.pairs:
        return f"{table.name}: no copies one way between GPUs"
    if len(paths) != 1:
        return f"{table.name}: the output does not say of which node it is"
    return NODE, min(table.pairs.values())
