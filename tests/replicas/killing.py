"""The leader is killed at random moments while nodes change; what was wrong of statuses and generations then."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nvtopo.kube.client import connect
from tests.lab.control_plane import ControlPlane
from tests.replicas import judge
from tests.replicas.cluster import Cluster, Replica, asking, looking, until
from tests.replicas.judge import Watched

_REPLICAS: Final = 3
#: About how long it takes from one kill to the next: a Lease that nobody renews is free after 15 s.
_CYCLE_SECONDS: Final = 20.0
_SETTLE_SECONDS: Final = 12.0


@dataclass(frozen=True)
class Plan:
    """How much is to happen."""

    kills: int = 50
    changes: int = 10_000
    racks: int = 6
    seed: int = 1
    pause: float = 10.0
    """Seconds that a leader leads at most."""


@dataclass(frozen=True)
class Outcome:
    """What happened."""

    kills: int
    changes: int
    writes: int
    answers: int
    written_by_the_last: float
    """Statuses that a new leader wrote where all was true already."""
    wrong: list[str]


def run(plane: ControlPlane, folder: Path, plan: Plan, say: Callable[[str], None] = lambda _: None) -> Outcome:
    """Kill so many leaders during so many changes."""
    chance, stop, watched = random.Random(plan.seed), threading.Event(), Watched()  # noqa: S311 - no secret
    with closing(Cluster(plane, plan.racks)) as cluster, connect(plane.admin_kubeconfig) as eyes:
        replicas = [Replica(plane, f"replica-{number}", folder) for number in range(_REPLICAS)]
        try:
            until(
                lambda: all(status.get("identifiers") for status in cluster.statuses().values()), "the first statuses"
            )
            loops = [lambda: looking(watched, eyes, stop), *(_asker(one, stop) for one in replicas)]
            with _running(stop, loops):
                _kill(cluster, replicas, plan, chance, say)
                _until_true(cluster)
                time.sleep(_SETTLE_SECONDS)  # a leader that writes what is there already does it by then
                before = watched.writes
                written = _last_kill(cluster, replicas)
            found = cluster.statuses()
        finally:
            for replica in replicas:
                replica.child.stop()
    wrong = [*watched.wrong, *(line for one in replicas for line in one.generations.wrong)]
    wrong += judge.of_statuses(found, cluster.wanted())
    for name, count in cluster.changes.items():
        wrong += judge.of_history(name, found[name].get("history", ()), count)
    if watched.writes != before:
        wrong.append(f"{watched.writes - before} statuses became other ones when nothing changed")
    answers = sum(one.generations.answers for one in replicas)
    return Outcome(plan.kills, sum(cluster.changes.values()), watched.writes, answers, written, wrong)


def _kill(
    cluster: Cluster, replicas: list[Replica], plan: Plan, chance: random.Random, say: Callable[[str], None]
) -> None:
    """The changes go on as long as leaders are killed; what is left of them comes at once after that."""
    names, over, done = list(cluster.changes), threading.Event(), [0]

    def change() -> None:
        for number in range(plan.changes):
            cluster.change(names[number % len(names)])
            done[0] = number + 1
            over.wait(plan.kills * _CYCLE_SECONDS / plan.changes)

    changing = threading.Thread(target=change)
    changing.start()
    for number in range(plan.kills):
        leader = _leader(cluster, replicas)
        time.sleep(chance.uniform(0.0, plan.pause))
        leader.child.kill()
        leader.start()
        say(f"kill {number + 1} of {plan.kills}: {leader.name}, {done[0]} of {plan.changes} changes")
    over.set()
    changing.join()


def _until_true(cluster: Cluster) -> None:
    """Until every status follows from the facts; what is still otherwise after two minutes is judged as it is."""
    with suppress(TimeoutError):
        until(lambda: not judge.of_statuses(cluster.statuses(), cluster.wanted()), "the last statuses")


def _last_kill(cluster: Cluster, replicas: list[Replica]) -> float:
    """Once more, where nothing changes: how many statuses the next leader writes."""
    gone = _leader(cluster, replicas)
    gone.child.stop()  # as when its node is drained, and the next one need not wait for the Lease to end
    left = [one for one in replicas if one is not gone]
    leader = _leader(cluster, left)
    time.sleep(_SETTLE_SECONDS)
    return leader.metric('nvtopo_aggregator_status_writes_total{result="written"}')


def _leader(cluster: Cluster, replicas: list[Replica]) -> Replica:
    """Who leads now, once somebody does."""
    found: list[Replica] = []

    def somebody() -> bool:
        holder = cluster.holder()
        found[:] = [one for one in replicas if one.leads(holder)]
        return bool(found)

    until(somebody, "a leader")
    return found[0]


def _asker(replica: Replica, stop: threading.Event) -> Callable[[], None]:
    return lambda: asking(replica, stop)


@contextmanager
def _running(stop: threading.Event, loops: list[Callable[[], None]]) -> Iterator[None]:
    threads = [threading.Thread(target=loop, daemon=True) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)
