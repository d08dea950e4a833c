"""Two machines of one shape in `nvtopo standalone`: one is read through the real sources, and the other is recorded.

A gang of one pod with eight GPUs fits on either, and one of two pods takes both: what they get is what a fault costs.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from nvtopo import standalone
from nvtopo.aggregator.node_label_tiers import NodeLabelTiers
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.cluster.nodes import GraphNode
from nvtopo.kube.following import Changed, Listed
from nvtopo.placement import hosts
from nvtopo.placement.place import place
from nvtopo.placement.request import Request
from nvtopo.placement.result import Assignment
from nvtopo.sources.machine import Machine
from nvtopo.sources.nvml.topology import NvmlWorker
from nvtopo.sources.sysfs import SysfsRoot
from tests.aggregator.test_node_label_tiers import Said
from tests.faults.node import HOST, Node

HERE: Final = "h100-0001"
NEIGHBOUR: Final = "h100-0002"
ZONE: Final = "topology.kubernetes.io/zone"
PATIENCE_SECONDS: Final = 60.0
_STEP_SECONDS: Final = 0.02


class Scene:
    """What a fault acts on, and what is seen of it."""

    def __init__(self, node: Node, up: standalone.Running, told: Said) -> None:
        self.node, self._up, self._told = node, up, told

    def passes(self) -> None:
        """The agent's next pass, which an event or the time would begin."""
        self._up.agent.step()

    def graph(self) -> ClusterGraph:
        """As the aggregator has it now."""
        graph = self._up.aggregator.graph
        assert graph is not None
        return graph

    def seen(self) -> GraphNode:
        """The machine in the graph."""
        return self.graph().nodes[HERE]

    def label(self, name: str) -> str | None:
        """A label that the agent would write."""
        from nvtopo.model.conclusions.features import features

        observation = self._up.agent.latest()
        assert observation is not None
        return features(observation.topology, observation.derived).get(f"nvtopo.io/{name}")

    def page(self) -> str:
        """The agent's metrics."""
        return _fetched(f"{self._up.metrics_url}/metrics")

    def relabel(self, labels: Mapping[str, str]) -> None:
        """Somebody changes the labels of this machine's Node."""
        self._told.queue.put(Changed(HERE, dict(labels)))

    def places(self, pods: int, required: str | None = None) -> tuple[str, ...] | Mapping[str, int]:
        """The nodes that a gang of so many pods with eight GPUs gets; if it fits nowhere, why."""
        answer = place(hosts.of_graph(self.graph()), Request(pods, 8, required=required))
        return tuple(sorted({rank.node for rank in answer.ranks})) if isinstance(answer, Assignment) else answer.counts


def until(holds: Callable[[], bool], what: str) -> float:
    """Wait for it; how long that took.

    Raises:
        TimeoutError: it did not come.
    """
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > PATIENCE_SECONDS:
            raise TimeoutError(f"{what}: not within {PATIENCE_SECONDS:g} s")
        time.sleep(_STEP_SECONDS)
    return time.monotonic() - began


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """Both machines well, and in one zone."""
    with ExitStack() as stack:
        node = stack.enter_context(Node(folder))
        node.install_driver()
        node.driver_is_like()
        stack.enter_context(_environment(NVTOPO_NVML_FIXTURE=str(folder / "nvml.json"), NVTOPO_NVML_LIVE="1"))
        machine = Machine(root=SysfsRoot(str(node.root)), nvml=NvmlWorker(str(node.driver)))
        up = stack.enter_context(
            standalone.running(machine, _neighbours(folder), address="127.0.0.1", page_port=0, metrics_port=0)
        )
        told = Said(Listed({HERE: {ZONE: "z1"}, NEIGHBOUR: {ZONE: "z1"}}))
        stack.enter_context(_following(up, told))
        made = Scene(node, up, told)
        until(lambda: made.places(2, "zone") == (HERE, NEIGHBOUR), "two machines that are well")
        yield made


def _neighbours(folder: Path) -> Path:
    capture = json.loads((HOST / "capture.json").read_text(encoding="utf-8"))
    capture["host"]["name"] = NEIGHBOUR
    for gpu in capture["nvml"]["gpus"]:
        gpu["uuid"] = f"{gpu['uuid'][:-2]}b{gpu['index']}"
    found = folder / "neighbours"
    found.mkdir()
    (found / f"{NEIGHBOUR}.json").write_text(json.dumps(capture), encoding="utf-8")
    return found


@contextmanager
def _following(up: standalone.Running, told: Said) -> Iterator[None]:
    tiers: Any = NodeLabelTiers(told, partial(up.aggregator.tell, "node-labels"), pause_seconds=0)
    stop = threading.Event()
    thread = threading.Thread(target=tiers.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _fetched(url: str) -> str:
    import urllib.request

    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30) as answer:
        text: str = answer.read().decode()
        return text
