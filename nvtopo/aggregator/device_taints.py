"""Which devices of GPU drivers should be tainted: by the ResourceSlices and the graph, for ``ExportKeeper``."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from nvtopo.aggregator.followed_slices import FollowedSlices
from nvtopo.aggregator.loop import Aggregator
from nvtopo.cluster.claims import Reading
from nvtopo.cluster.drift import Timing
from nvtopo.cluster.findings import found as finding
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.cluster.taints import MOST, Decision, DeviceTaints
from nvtopo.exporters.schedulers import dra_taints
from nvtopo.exporters.shadows import DRIVER
from nvtopo.sinks.metrics.series import Family, declared, gauge, one

KIND: Final = "dra-taints"
WITHHELD = gauge(
    "nvtopo_aggregator_device_taints_withheld",
    "Number of degraded devices that get no DeviceTaintRule, since there are more of them than may be tainted.",
    source="the graph and the ResourceSlices",
    absent="the aggregator runs without `--apply dra-taints`",
)
SERIES = declared(globals())


class TaintSource:
    """A ``TimedSource`` of an ``ExportKeeper``; each term of leadership begins anew, with what is tainted then."""

    def __init__(  # noqa: PLR0913 - what it follows, and limits with defaults
        self,
        slices: FollowedSlices,
        aggregator: Aggregator,
        timing: Timing | None = None,
        *,
        most: int = MOST,
        name: str = "nvtopo",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``name`` begins the names of the rules; ``most`` of them are there at a time."""
        self._slices = slices
        self._aggregator = aggregator
        self._timing = timing
        self._most = most
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._changed: set[str] = set()
        self._term: int | None = None
        self._first = True
        self._taints = DeviceTaints(timing, most=most, own_driver=DRIVER)
        self._told = 0
        aggregator.listen(self._heard)

    def adopt(self, found: Mapping[str, dict[str, Any]], term: int) -> None:
        """Rules of ours at the API server stay as long as nobody knows better."""
        if term != self._term:
            self._term, self._first = term, True
            self._taints = DeviceTaints(self._timing, most=self._most, own_driver=DRIVER)
        self._taints.adopt(dict(target for rule in found.values() if (target := dra_taints.target(rule)) is not None))

    def documents(self, graph: ClusterGraph) -> list[dict[str, Any]] | None:
        """The rules that there should be now; None before the slices are listed."""
        now = self._clock()
        if not self._slices.listed:
            return None
        with self._lock:
            names, self._changed = self._changed, set()
        with self._slices.reading() as index:
            for node in graph.nodes if self._first else names:
                self._taints.see(node, graph.nodes.get(node), index, now, first=self._first)
            self._first = False
            decision = self._taints.decide(graph.nodes, index, now)
        self._tell(decision)
        return dra_taints.documents(decision.taints, self._name)

    def families(self) -> Iterator[Family]:
        """The metric families of this moment."""
        yield one(WITHHELD, self._told)

    def _tell(self, decision: Decision) -> None:
        """A finding while there are more than may be."""
        if decision.withheld == self._told:
            return
        self._told = decision.withheld
        said = f"{decision.withheld} degraded devices are not tainted: {decision.allowed} may be at a time"
        findings = (finding("taints", (), said, subject="DeviceTaintRules"),)
        self._aggregator.tell(KIND, {KIND: Reading(findings=findings)} if decision.withheld else {})

    def _heard(self) -> None:
        """In the loop's thread, once for each graph."""
        graph = self._aggregator.graph
        if graph is not None:
            with self._lock:
                self._changed |= graph.delta.nodes
