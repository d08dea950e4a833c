"""What the aggregator's graph costs: building it from a list, and following one node's change, as the cluster grows.

First in this process alone, without server or sockets: synthetic GB200 trays in racks of 18, and HGX boards, half
of the nodes each. ``sync`` folds a list and builds the first graph. The others are from the event to the next graph: of
a link that fell, and of a tray that reports another rack and NVLink domain.

Then behind a server (``bench/served.py``): from the change to the bytes at each of 10 subscribers, and answers on a
kept-alive connection, beside a bare handler.
"""

import argparse
import gc
import json
import statistics
import time
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from bench import served
from nvtopo.cluster.events import Applied, Listed
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Inventory, fold_all
from nvtopo.model.records.node import NodeTopology
from tests.cluster import machines

Json = dict[str, Any]

SIZES: Final = (1_000, 3_000, 10_000, 30_000)
CHANGES: Final = 300
SERVED: Final = (1_000, 10_000)
SECONDS: Final = 10.0
NOW: Final = "2026-11-28T12:00:00Z"
_SPARE_RACK: Final = 1 << 20
_PERCENTILE: Final = 0.99
_PAGE_BYTES: Final = 4096


class Figures(NamedTuple):
    """Of one size; times in seconds."""

    nodes: int
    gpus: int
    sync: float
    change: float
    change_p99: float
    move: float
    bytes_per_gpu: float
    """What the process grew by from before the topologies to after the graph."""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench/aggregator", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print all figures as one JSON object, as the last line")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="numbers of nodes")
    parser.add_argument("--changes", type=int, default=CHANGES, metavar="N", help="changes to measure at each size")
    parser.add_argument(
        "--served", type=int, nargs="*", default=SERVED, metavar="N", help="numbers of nodes behind a server"
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help="how long subscribers listen")
    parser.add_argument("--rate", type=int, default=served.RATE, metavar="N", help="changes a second that they hear")
    parser.add_argument("--subscribers", type=int, default=served.SUBSCRIBERS, metavar="N", help="how many listen")
    options = parser.parse_args()
    curve = [measure(size, options.changes) for size in options.sizes]
    print(table(curve))
    plans = (served.Plan(size, options.seconds, options.rate, options.subscribers) for size in options.served)
    heard = [served.measure(plan) for plan in plans]
    if heard:
        print(served.table(heard))
    if options.json:
        print(json.dumps(summary(curve) | {"served": served.summary(heard)}))
    return 0


def measure(size: int, changes: int) -> Figures:
    """One size."""
    before = _resident_bytes()
    nodes = fleet(size)
    gc.collect()
    gc.freeze()
    began = time.thread_time()
    inventory = fold_all(Inventory(), [Listed(nodes)])
    graph = build(inventory, now=NOW)
    sync = time.thread_time() - began
    held = _resident_bytes() - before
    gc.freeze()
    trays = list(_spread([name for name in nodes if name.startswith("tray")], changes))
    links = _followed(inventory, graph, ((name, with_link_down(nodes[name])) for name in trays))
    moves = _followed(inventory, graph, ((name, _moved(number)) for number, name in enumerate(trays)))
    gpus = sum(len(node.gpus) for node in nodes.values())
    return Figures(
        size, gpus, sync, statistics.median(links), _percentile(links), statistics.median(moves), held / gpus
    )


def fleet(size: int) -> dict[str, NodeTopology]:
    """Trays and boards in turn."""
    return {
        **{
            f"tray-{number:05}": machines.tray(number // machines.TRAYS, number % machines.TRAYS)
            for number in range(size // 2)
        },
        **{f"hgx-{number:05}": _board(number) for number in range(size - size // 2)},
    }


def _board(number: int) -> NodeTopology:
    node = machines.hgx()
    return replace(node, gpus=tuple(replace(gpu, uuid=f"{gpu.uuid}-{number:05}") for gpu in node.gpus))


def with_link_down(node: NodeTopology) -> NodeTopology:
    """The node with one NVLink less."""
    return machines.changed(node, 1, nvlinks=(machines.bundle("0-16"), machines.bundle("17", "inactive")))


def _moved(number: int) -> NodeTopology:
    return machines.tray(_SPARE_RACK + number // machines.TRAYS, number % machines.TRAYS)


def _followed(inventory: Inventory, graph: ClusterGraph, changes: Iterable[tuple[str, NodeTopology]]) -> list[float]:
    """How long each change took, one after the other."""
    took = []
    for name, topology in changes:
        inventory = inventory.recorded(graph.records)
        began = time.thread_time()
        inventory = fold_all(inventory, [Applied(name, topology)])
        graph = build(inventory, graph, now=NOW)
        took.append(time.thread_time() - began)
        assert name in graph.delta.nodes
    return took


def _spread(names: list[str], count: int) -> Iterator[str]:
    """So many names, evenly taken."""
    count = min(count, len(names))
    return (names[number * len(names) // count] for number in range(count))


def _percentile(times: list[float]) -> float:
    return sorted(times)[int(len(times) * _PERCENTILE)]


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES


def table(curve: list[Figures]) -> str:
    """For people."""
    lines = [
        f"{'nodes':>7} {'GPUs':>8} {'sync s':>8} {'µs/node':>8} {'link µs':>8} {'p99':>6} {'move µs':>8} {'B/GPU':>7}"
    ]
    lines += [
        f"{one.nodes:>7} {one.gpus:>8} {one.sync:>8.2f} {one.sync / one.nodes * 1e6:>8.0f} {one.change * 1e6:>8.0f} "
        f"{one.change_p99 * 1e6:>6.0f} {one.move * 1e6:>8.0f} {one.bytes_per_gpu:>7.0f}"
        for one in curve
    ]
    return "\n".join(lines)


def summary(curve: list[Figures]) -> Json:
    """For programs: each size, and what ten times the nodes cost more from the first size to the last."""
    return {
        "curve": [one._asdict() for one in curve],
        "growth": [
            {"from": one.nodes, "to": other.nodes, "sync": other.sync / one.sync, "change": other.change / one.change}
            for one, other in pairwise(curve)
        ],
    }


if __name__ == "__main__":
    raise SystemExit(main())
