"""How fast a gang is placed in a large fleet: ``bench/placement [--gpus N,N,…] [--json]``.

The fleet is made of trays of 4 GPUs, 18 trays in an NVLink domain, 16 domains below a leaf, and 60 % of the GPUs are
busy at random (seeded). Searches run with the full cost, and those of the second table with KV transfer or the load of
all nodes besides. Beside them, in the same run: a scan of all domains for one
group, and the textbook search over all combinations of hosts at the largest size that it ends at.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from itertools import combinations
from typing import Any, Final

from nvtopo.placement.fleet import Fleet, Host, fleet
from nvtopo.placement.request import Kv, Load, Request
from nvtopo.placement.result import Assignment
from nvtopo.placement.state import State

TRAYS: Final = 18
DOMAINS: Final = 16
TRAY_GPUS: Final = 4
BUSY: Final = 0.6
GROUP: Final = 8
#: Hosts among which the textbook search still ends within seconds.
FEW_HOSTS: Final = 18
#: Pods of the gang that may be anywhere, with terms.
ANYWHERE: Final = 64
_KV_BYTES: Final = 1_000_000_000


def made(gpus: int, seed: int = 1) -> Fleet:
    """A fleet of about so many GPUs."""
    chance = random.Random(seed)  # noqa: S311 - not a secret
    tray = (tuple(range(TRAY_GPUS)),)
    hosts = []
    for number in range(gpus // TRAY_GPUS):
        domain = number // TRAYS
        free = tuple(gpu for gpu in range(TRAY_GPUS) if chance.random() > BUSY)
        tiers = {"nvlinkDomain": f"d{domain:05}", "leaf": f"l{domain // DOMAINS:04}"}
        hosts.append(Host(f"n{number:06}", tiers, (free,) if free else (), tray))
    return fleet(hosts, ("nvlinkDomain", "leaf"))


def timed(work: Callable[[], object], times: int) -> list[float]:
    """Seconds of each run, after one that does not count."""
    work()
    found = []
    for _run in range(times):
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return sorted(found)


def microseconds(runs: list[float]) -> dict[str, float]:
    """Median and 99th percentile."""
    last = runs[min(len(runs) - 1, int(len(runs) * 0.99))]
    return {"p50": round(statistics.median(runs) * 1e6, 1), "p99": round(last * 1e6, 1)}


def measured(gpus: int, times: int) -> dict[str, Any]:
    """The figures of one fleet."""
    whole = made(gpus)
    begin = time.perf_counter()
    state = State(whole)
    group, gang = Request(GROUP, required="nvlinkDomain"), Request(min(4096, gpus // 10))
    state.place(group)
    build = time.perf_counter() - begin

    def cycle() -> None:
        answer = state.place(group)
        assert isinstance(answer, Assignment)
        state.take(answer.ranks)
        state.give(answer.ranks)

    cycles = timed(cycle, times)
    answer = state.place(gang)
    assert isinstance(answer, Assignment)
    return {
        "gpus": gpus,
        "build_seconds": round(build, 2),
        "group_of_8_us": microseconds(timed(lambda: state.place(group), times)),
        "place_take_give_per_second": round(len(cycles) / sum(cycles)),
        "gang": gang.pods,
        "gang_us": microseconds(timed(lambda: state.place(gang), max(10, times // 50))),
        "gang_above_bound": round((answer.cost.total - answer.cost.bound) / answer.cost.total, 6),
        "scan_of_domains_us": microseconds(timed(lambda: scan(whole, GROUP), 5)),
        "terms_us": with_terms(whole, max(3, times // 500)),
    }


def with_terms(whole: Fleet, times: int) -> dict[str, dict[str, float]]:
    """Searches whose cost also counts where KV caches come from, and how busy each node is."""
    state, names, chance = State(whole), [*whole.hosts], random.Random(2)  # noqa: S311 - not a secret
    kv = Kv(_KV_BYTES, ((names[0], names[1]), (names[-1],)))
    load = {name: Load(chance.randrange(10), chance.randrange(1_000_000)) for name in names}
    group = Request(GROUP, required="nvlinkDomain")
    asked = {
        "group_kv": group._replace(kv=kv),
        "group_load": group._replace(load=load),
        "gang_kv": Request(ANYWHERE, kv=kv),
        "gang_load": Request(ANYWHERE, load=load),
    }

    def one(request: Request) -> list[float]:
        return timed(lambda: state.place(request), times)

    return {name: microseconds(one(request)) for name, request in asked.items()}


def scan(whole: Fleet, pods: int) -> str:
    """The tightest domain for a group, found by looking at all of them."""
    fits = ((sum(host.free_gpus for host in domain.hosts()), domain.id) for domain in whole.domains(1))
    return min(found for found in fits if found[0] >= pods)[1]


def textbook() -> dict[str, float]:
    """All combinations of hosts of one domain that hold 8 GPUs."""
    hosts = list(made(FEW_HOSTS * TRAY_GPUS).hosts.values())

    def search() -> int:
        return min(
            count
            for count in range(1, len(hosts) + 1)
            for some in combinations(hosts, count)
            if sum(host.free_gpus for host in some) >= GROUP
        )

    return microseconds(timed(search, 1))


def main() -> int:
    """The table, or one line of JSON."""
    parser = argparse.ArgumentParser(prog="bench/placement", description=__doc__)
    parser.add_argument("--gpus", default="1000,10000,100000", help="sizes of the fleet")
    parser.add_argument("--times", type=int, default=2000, help="runs of each search")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    asked = parser.parse_args()
    found = [measured(int(size), asked.times) for size in asked.gpus.split(",")]
    combined = textbook()
    out = sys.stdout.write
    out(f"{'GPUs':>8} {'group of 8, µs p50/p99':>24} {'cycles/s':>9} {'gang':>6} {'µs p50/p99':>20} {'scan, µs':>9}\n")
    for one in found:
        group, gang, scanned = one["group_of_8_us"], one["gang_us"], one["scan_of_domains_us"]
        out(
            f"{one['gpus']:>8} {group['p50']:>14} / {group['p99']:>7} {one['place_take_give_per_second']:>9} "
            f"{one['gang']:>6} {gang['p50']:>10} / {gang['p99']:>7} {scanned['p50']:>9}\n"
        )
    out(f"{'GPUs':>8} {'of 8: KV, ms':>14} {'load, ms':>10} {f'of {ANYWHERE}: KV, ms':>15} {'load, ms':>10}\n")
    for one in found:
        kv, load, far_kv, far_load = (milliseconds["p50"] / 1000 for milliseconds in one["terms_us"].values())
        out(f"{one['gpus']:>8} {kv:>14.1f} {load:>10.1f} {far_kv:>15.1f} {far_load:>10.1f}\n")
    out(f"all combinations in one domain of {FEW_HOSTS} hosts: {combined['p50']} µs\n")
    if asked.json:
        out(json.dumps({"fleets": found, "textbook_us": combined}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
