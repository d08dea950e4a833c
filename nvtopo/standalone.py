"""Agent and aggregator in one process, on a store in memory: everything that nvtopo does, on one laptop.

The same parts as in a cluster, with ``MemoryStore`` in the API server's place: the agent reads this very machine, a
fleet of captures stands for its neighbours, the aggregator folds both.
"""

import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from nvtopo.agent import Agent
from nvtopo.agent.http.page import Listen, MetricsPage
from nvtopo.agent.parts.all_parts import parts
from nvtopo.agent.parts.sampler import sampling
from nvtopo.aggregator import fleet, topology_files
from nvtopo.aggregator.known import KnownNodes
from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.server import GraphServer
from nvtopo.aggregator.topology_files import TopologyFiles
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.errors import ReadError, UsageError
from nvtopo.kube.memory import MemoryStore
from nvtopo.model.formats.near import hint
from nvtopo.model.formats.printable import printable
from nvtopo.model.observation import Observation
from nvtopo.sinks.publish.resource import ResourceSink
from nvtopo.sources.linux import host
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
def running(  # noqa: PLR0913 - what the command line has
    machine: Machine,
    directory: Path | None,
    *,
    address: str,
    page_port: int,
    metrics_port: int,
    topology: Path | None = None,
    stale: Collection[str] = (),
) -> Iterator[Running]:
    """Everything up and serving; ended in order at the end of the block. ``stale`` nodes are shown as not heard from.

    Raises:
        UsageError: a stale node is not in the directory.
        ReadError: a capture can't be read, or an address can't be bound.
    """
    store = MemoryStore()
    recorded = {} if directory is None else fleet.read(directory).listed.nodes
    for name, node in recorded.items():
        store.apply(name, node)
    for name in stale:
        if name not in recorded:
            near = hint(name, recorded)
            raise UsageError(f"--stale {printable(name)}: expected a recorded node of --fleet{printable(near)}")
    agent = Agent(machine, [ResourceSink(store, host.name_of(machine))])
    observation = agent.step()
    with ExitStack() as stack:
        aggregator = Aggregator(store)
        if stale:
            aggregator.silence(dict.fromkeys(stale))
        stop = threading.Event()
        loop = threading.Thread(target=aggregator.run, args=(stop,), name="aggregator")
        loop.start()
        stack.callback(loop.join)
        if topology is not None:
            told = partial(aggregator.tell, topology_files.SOURCE)
            files = TopologyFiles(topology, KnownNodes(lambda: aggregator.graph), told)
            files.look()
            follow = threading.Thread(target=files.run, args=(stop,), name="topology-files")
            follow.start()
            stack.callback(follow.join)
        stack.callback(stop.set)
        graph = aggregator.wait(-1, _GRAPH_SECONDS)
        if graph is None:
            raise ReadError(f"standalone: no graph after {_GRAPH_SECONDS:g} s")
        with _port_option("--page-port", page_port):
            server = stack.enter_context(GraphServer(aggregator, address=address, port=page_port))
        sampled = stack.enter_context(sampling(machine, agent.latest))
        all_parts = (*parts(agent.root, agent.latest, agent.changes), *sampled)
        with _port_option("--metrics-port", metrics_port):
            page = stack.enter_context(MetricsPage(all_parts, lambda: True, listen=Listen(address, metrics_port)))
        yield Running(agent, aggregator, observation, graph, server.url, page.url)


@contextmanager
def _port_option(option: str, port: int) -> Iterator[None]:
    """A port that can't be had is refused with the option that chooses another."""
    try:
        yield
    except ReadError as error:
        raise (
            ReadError(f"{error}; {option} chooses another port, and {option} 0 any free one") if port else error
        ) from error
