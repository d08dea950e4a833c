"""A keeper of exported objects with its applier running, and a clock that the test moves."""

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from nvtopo.aggregator.export_keeper import CHECK_SECONDS, ExportKeeper, TimedSource
from nvtopo.aggregator.loop import Aggregator
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.exporters.schedulers.owned import Owner
from nvtopo.kube.client import Client
from tests.lab import kube


class Keeping:
    """A keeper that leads."""

    def __init__(self, keeper: ExportKeeper, clock: list[float]) -> None:
        self.keeper = keeper
        self._clock = clock

    def compare(self, graph: ClusterGraph) -> int:
        """Compare with what is there, and how many objects are written for it."""
        before = self._writes()
        self._clock[0] += CHECK_SECONDS
        self.keeper.keep(graph, 1)
        self._settle()
        return self._writes() - before

    def _writes(self) -> int:
        return sum(self.keeper.applier.figures.outcomes.values())

    def _settle(self) -> None:
        def all_written() -> bool:
            return self.keeper.applier.figures.waiting == 0

        kube.wait_for(all_written, what="all exported objects written", seconds=60)


_NONE: Final[Mapping[str, TimedSource]] = MappingProxyType({})


@contextlib.contextmanager
def running(
    client: Client,
    kinds: Sequence[str],
    owner: Owner,
    *,
    gangs: int = 1,
    timed: Mapping[str, TimedSource] = _NONE,
) -> Iterator[Keeping]:
    """A keeper of these kinds; its applier ends with the block."""
    clock, stop = [0.0], threading.Event()
    source: Any = None
    keeper = ExportKeeper(
        Aggregator(source), client, lambda: 1, kinds, owner, gangs=gangs, timed=timed, clock=lambda: clock[0]
    )
    thread = threading.Thread(target=keeper.applier.run, args=(stop,))
    thread.start()
    try:
        yield Keeping(keeper, clock)
    finally:
        stop.set()
        thread.join()
