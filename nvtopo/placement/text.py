"""An answer as text: for people, as JSON, as the host files that MPI launchers read."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from nvtopo.placement.result import AllReduceTimes, Assignment, Costs, NoFit, PlacementResult

_PS_PER_MS: Final = 1_000_000_000


def people(answer: PlacementResult) -> str:
    """A few lines: what it costs, then rank by rank; or why it fits nowhere, and what keeps each node out."""
    if isinstance(answer, NoFit):
        lines = [f"No fit: {answer.reason}.", f"{answer.nodes} nodes were looked at:"]
        lines += [f"  {count:>6}  {reason}" for reason, count in answer.counts.items()]
        return "\n".join(lines) + "\n"
    where = f"one {answer.level} ({answer.domain})" if answer.domain else "the whole fleet"
    used = ", ".join(f"{tier} {count}" for tier, count in answer.domains.items())
    lines = [
        f"Inside {where}; domains used: {used}.",
        *_costs(answer.cost),
        *_times(answer.all_reduce_times),
        "",
        "RANK  NODE  GPUS",
    ]
    for rank in answer.ranks:
        gpus = ",".join(map(str, rank.gpus))
        lines.append(f"{rank.rank:>4}  {rank.node}  {gpus}{'  leader' if rank.leader else ''}")
    return "\n".join(lines) + "\n"


def _costs(cost: Costs) -> list[str]:
    """The terms that were asked for, one a line."""
    terms = {
        "All-reduce": cost.all_reduce,
        "Sends between stages": cost.stage_sends,
        "All-to-all": cost.all_to_all,
        "KV transfer": cost.kv_transfer,
        "Queue": cost.queue,
        "Cache": cost.cache,
    }
    known = {term: value for term, value in terms.items() if value is not None}
    if len(known) == 1 and not cost.unknown:
        return [f"One all-reduce is expected to take {cost.all_reduce / _PS_PER_MS:.3f} ms."]
    lines = [f"{term}: {value / _PS_PER_MS:.3f} ms" for term, value in known.items()]
    lines += [f"{term}: not known, {why}" for term, why in cost.unknown.items()]
    return [*lines, f"Total: {cost.total / _PS_PER_MS:.3f} ms"]


def _times(times: AllReduceTimes | None) -> list[str]:
    if times is None or times.hierarchical == times.ring:  # inside one island
        return []
    known = {"ring": times.ring, "tree": times.tree, "hierarchical": times.hierarchical}
    ways = (f"{way} {value / _PS_PER_MS:.3f} ms" for way, value in known.items() if value is not None)
    return [f"One all-reduce by algorithm: {', '.join(ways)}."]


def as_json(answer: PlacementResult) -> str:
    """The document of docs/placement.md."""
    return msgspec.json.format(msgspec.json.encode(answer), indent=2).decode() + "\n"


def hostfile(answer: PlacementResult) -> str:
    """One line for each run of ranks on a node, as Open MPI and DeepSpeed read it."""
    if isinstance(answer, NoFit):
        return people(answer)
    runs: list[tuple[str, int]] = []
    for rank in answer.ranks:
        if runs and runs[-1][0] == rank.node:
            runs[-1] = (rank.node, runs[-1][1] + len(rank.gpus))
        else:
            runs.append((rank.node, len(rank.gpus)))
    return "".join(f"{node} slots={gpus}\n" for node, gpus in runs)


def rankfile(answer: PlacementResult) -> str:
    """One line for each GPU, as Open MPI's rank files: the slot is the index of the GPU on the node."""
    if isinstance(answer, NoFit):
        return people(answer)
    return "".join(f"rank {number}={node} slot={gpu}\n" for number, (node, gpu) in enumerate(_gpus(answer)))


def _gpus(answer: Assignment) -> list[tuple[str, int]]:
    return [(rank.node, gpu) for rank in answer.ranks for gpu in rank.gpus]


FORMATS: Final[Mapping[str, Callable[[PlacementResult], str]]] = {
    "text": people,
    "json": as_json,
    "hostfile": hostfile,
    "rankfile": rankfile,
}
