"""Agent and aggregator in one process, on a store in memory: everything that nvtopo does, on one laptop.

The same parts as in a cluster, with ``MemoryStore`` in the API server's place: the agent reads this very machine, a
fleet of captures stands for its neighbours, the aggregator folds both.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from nvtopo.agent import Agent
from nvtopo.agent.page import Listen, Page
from nvtopo.agent.parts import parts
from nvtopo.agent.sampler import sampling
from nvtopo.aggregator import fleet
from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.server import Server
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.errors import ReadError
from nvtopo.kube.memory import MemoryStore
from nvtopo.sinks.metrics.observation import Observation
from nvtopo.sinks.resource import ResourceSink
from nvtopo.sources import host
from nvtopo.sources.machine import Machine

_GRAPH_SECONDS = 30.0


class Running(NamedTuple):
    """What is up, after the first observation is in the graph."""

    agent: Agent
    aggregator: Aggregator
    observation: Observation
    graph: ClusterGraph
    page_url: str
    metrics_url: str


@contextmanager
def running(
    machine: Machine, directory: Path | None, *, address: str, page_port: int, metrics_port: int
) -> Iterator[Running]:
    """Everything up and serving; ended in order at the end of the block.

    Raises:
        ReadError: a capture can't be read, or an address can't be bound.
    """
    store = MemoryStore()
    if directory is not None:
        for name, topology in fleet.read(directory).nodes.items():
            store.apply(name, topology)
    agent = Agent(machine, [ResourceSink(store, host.name_of(machine))])
    observation = agent.step()
    with ExitStack() as stack:
        aggregator = Aggregator(store)
        stop = threading.Event()
        loop = threading.Thread(target=aggregator.run, args=(stop,), name="aggregator")
        loop.start()
        stack.callback(loop.join)
        stack.callback(stop.set)
        graph = aggregator.wait(-1, _GRAPH_SECONDS)
        if graph is None:
            raise ReadError(f"standalone: no graph after {_GRAPH_SECONDS:g} s")
        server = stack.enter_context(Server(aggregator, address=address, port=page_port))
        sampled = stack.enter_context(sampling(machine, agent.latest))
        all_parts = (*parts(agent.root, agent.latest, agent.changes), *sampled)
        page = stack.enter_context(Page(all_parts, lambda: True, listen=Listen(address, metrics_port)))
        yield Running(agent, aggregator, observation, graph, server.url, page.url)
