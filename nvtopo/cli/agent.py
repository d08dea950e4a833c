"""``nvtopo agent``: read this node again and again, and publish what it is."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nvtopo.agent.parts.rdma import RdmaOptions
from nvtopo.cli.agent_options import (
    DriverOptions,
    LldpOptions,
    LoopOptions,
    SinkOptions,
    driver_options,
    lldp_options,
    loop_options,
    rdma_options,
    sink_options,
)
from nvtopo.cli.machine import live_options, machine_of
from nvtopo.cli.page import PageOptions, page_options
from nvtopo.runtime.gc_tuning import freeze_startup
from nvtopo.runtime.stop_signals import stopping
from nvtopo.runtime.switching import switch_often

if TYPE_CHECKING:
    from nvtopo.agent import Agent
    from nvtopo.agent.expectations import AgentExpectations
    from nvtopo.agent.holders import Asking
    from nvtopo.agent.http.page import Listen
    from nvtopo.agent.nvml_event_listener import NvmlEventListener
    from nvtopo.kube.client import Client
    from nvtopo.model.records.node import NodeTopology
    from nvtopo.sinks.publish.events import EventSink
    from nvtopo.sinks.publish.sink import Sink
    from nvtopo.sources.machine import Machine

logger = logging.getLogger(__name__)


@click.command("agent")
@loop_options
@sink_options
@page_options
@driver_options
@rdma_options
@lldp_options
@live_options
def command(  # noqa: PLR0913 - one for each group of options, and which machine
    *,
    loop: LoopOptions,
    publish: SinkOptions,
    page: PageOptions,
    driver: DriverOptions,
    rdma: RdmaOptions,
    hear: LldpOptions,
    root: str,
    nvml: str | None,
    node_name: str | None,
) -> None:
    """Keep this node's labels, resource and metrics up to date with the machine."""
    from nvtopo.agent import Agent
    from nvtopo.cli import logs
    from nvtopo.errors import ReadError

    logs.begin()
    api = cache(partial(_connect, publish.kubeconfig))
    listen = page.listen_with(api)
    name = node_name or os.uname().nodename
    sinks = list(_sinks(publish, api, name))
    machine = machine_of(root, nvml, node_name, driver.nvml_deadline)
    if hear.lldp and not loop.once:
        machine = _with_ears(machine, hear.lldp_ports)
    listener = _nvml_event_listener(machine) if driver.nvml_events and not loop.once else None
    sends_events = publish.resource if publish.events is None else publish.events
    events = _events(api(), name) if sends_events and not loop.once else None
    if events is not None:
        sinks.append(events)
        if listener is not None:
            listener.subscribe(events.on_event)
    if publish.allocations:
        sinks.append(_allocation(api(), name, machine))
    due = _expectations(loop, sinks)
    agent = Agent(machine, sinks, boot_grace_seconds=loop.boot_grace, listener=listener, expectations=due)
    if loop.once:
        agent.step()
        if not agent.delivered:
            raise ReadError("agent: a sink could not be written; the log above names it and the reason")
        return
    asking = _asking(agent) if publish.allocations else nullcontext()
    with (
        stopping(agent.stop),
        asking,
        _hearing(machine, agent),
        _telling(agent, publish.dranet_socket),
        _served(agent, machine, listen, listener, driver.sample_interval, rdma),
    ):
        freeze_startup()
        with switch_often():
            agent.run(loop.interval)
    if events is not None and events.waiting:
        logger.warning("events not sent", extra={"count": events.waiting})


def _sinks(publish: SinkOptions, api: "Callable[[], Client]", name: str) -> "Iterator[Sink]":
    if publish.features:
        from nvtopo.sinks.publish.nfd import FeatureFile

        lifetime = timedelta(seconds=publish.label_lifetime)
        yield FeatureFile(publish.features_dir, lifetime, lambda: datetime.now(UTC), product=publish.product_labels)
    if publish.resource:
        yield _resource(api(), name)
    if publish.node_feature:
        yield _node_feature(api(), name, publish)


def _expectations(loop: LoopOptions, sinks: "Iterable[Sink]") -> "AgentExpectations":
    from nvtopo.agent.expectation_file import ExpectationFile
    from nvtopo.agent.expectations import AgentExpectations
    from nvtopo.sinks.publish.resource import ResourceSink

    own = [] if loop.expect is None else [ExpectationFile(loop.expect)]
    resource = next((sink for sink in sinks if isinstance(sink, ResourceSink)), None)
    files = [*own, ExpectationFile(loop.expectations, optional=True)]
    return AgentExpectations(files) if resource is None else AgentExpectations(files, lambda: resource.standing)


def _connect(kubeconfig: Path | None) -> "Client":
    from nvtopo.kube.client import connect

    return connect(kubeconfig)


def _resource(client: "Client", name: str) -> "Sink":
    from nvtopo.kube.topology_writer import KubeTopologyWriter
    from nvtopo.sinks.publish.resource import ResourceSink

    return ResourceSink(KubeTopologyWriter(client), name)


def _events(client: "Client", name: str) -> "EventSink":
    from nvtopo.sinks.publish.events import EventSink

    return EventSink(client, name)


def _node_feature(client: "Client", name: str, publish: SinkOptions) -> "Sink":
    from nvtopo.sinks.publish.node_feature import NodeFeatureSink

    return NodeFeatureSink(client, name, publish.node_feature_namespace, product=publish.product_labels)


def _allocation(client: "Client", name: str, machine: "Machine") -> "Sink":
    from nvtopo.agent.holders import held
    from nvtopo.sinks.publish.allocation import AllocationSink

    return AllocationSink(client, name, partial(held, machine.root))


def _asking(agent: "Agent") -> "Asking":
    """Who holds what is asked for more often than the machine is read."""
    from nvtopo.agent.holders import Asking
    from nvtopo.sinks.publish.allocation import AllocationSink

    return Asking(partial(agent.offer_again, AllocationSink.name))


def _nvml_event_listener(machine: "Machine") -> "NvmlEventListener | None":
    """The listener on the machine's driver; None if the machine asks no driver."""
    from nvtopo.agent.nvml_event_listener import NvmlEventListener
    from nvtopo.sources.nvml.topology import NvmlWorker

    nvml = machine.nvml
    return NvmlEventListener(nvml) if isinstance(nvml, NvmlWorker) else None


def _with_ears(machine: "Machine", names: tuple[str, ...]) -> "Machine":
    """The machine with a listener for LLDP, which ``_hearing`` starts."""
    from nvtopo.sources.linux.lldp import LldpListener, ports

    return machine._replace(lldp=LldpListener((lambda: names) if names else (lambda: ports(machine.root))))


@contextmanager
def _hearing(machine: "Machine", agent: "Agent") -> Iterator[None]:
    """Listen for LLDP meanwhile, if the machine has a listener; what changes is a reason to read again."""
    from nvtopo.sources.linux.lldp import LldpListener

    if not isinstance(machine.lldp, LldpListener):
        yield
        return
    machine.lldp.wake(agent.wake)
    with machine.lldp:
        yield


def _telling(agent: "Agent", path: Path | None) -> AbstractContextManager[object]:
    """Tell dranet what belongs with each NIC, on a socket of that path."""
    if path is None:
        return nullcontext()
    from nvtopo.agent.http.provider import Provider

    def latest() -> "NodeTopology | None":
        observation = agent.latest()
        return None if observation is None else observation.topology

    return Provider(path, latest)


@contextmanager
def _served(  # noqa: PLR0913, PLR0917 - what the page is made of
    agent: "Agent",
    machine: "Machine",
    listen: "Listen | None",
    listener: "NvmlEventListener | None",
    sample_interval: float,
    rdma: RdmaOptions,
) -> Iterator[None]:
    """Serve the metrics page meanwhile, if there is one."""
    if listen is None:
        yield
        return
    from nvtopo.agent.http.page import MetricsPage
    from nvtopo.agent.parts import process
    from nvtopo.agent.parts.all_parts import parts
    from nvtopo.agent.parts.pods import PodsWatch
    from nvtopo.agent.parts.sampler import sampling
    from nvtopo.runtime.fallen_threads import FallenThreads

    with (
        FallenThreads() as threads,
        sampling(machine, agent.latest, sample_interval) as sampled,
        PodsWatch(agent.root) as watch,
    ):
        events = () if listener is None else (listener.part,)
        read = parts(agent.root, agent.latest, agent.changes, watch.latest, rdma)
        page = (*read, agent.sinks_part, process.part, *events, *sampled)
        with MetricsPage(page, lambda: agent.ready, lambda: agent.alive and threads.all_run(), listen=listen) as served:
            logger.info("serving", extra={"url": served.url})
            yield
