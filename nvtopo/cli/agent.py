"""``nvtopo agent``: the node loop."""

import logging
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nvtopo.cli.lasting import settle
from nvtopo.cli.machine import live_options, machine_of
from nvtopo.cli.page import authorize_of, listen_of, page_options

if TYPE_CHECKING:
    from nvtopo.agent import Agent
    from nvtopo.agent.delivery import Sink
    from nvtopo.agent.hearing import Hearing
    from nvtopo.agent.page import Listen
    from nvtopo.agent.rdma import RdmaOptions
    from nvtopo.sinks.events import EventSink
    from nvtopo.sources.machine import Machine

logger = logging.getLogger(__name__)


@click.command("agent")
@click.option("--once", is_flag=True, help="One pass, then end: exit 3 if a sink could not be written.")
@click.option(
    "--features-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/etc/kubernetes/node-feature-discovery/features.d"),
    show_default=True,
    help="Where NFD's worker reads feature files.",
)
@click.option("--features/--no-features", default=True, help="Write the feature file.")
@click.option("--resource/--no-resource", default=True, help="Keep the NodeTopology resource.")
@click.option(
    "--events/--no-events",
    default=None,
    help="Tell of changes in Kubernetes Events on the Node. By default where the resource is kept.",
)
@click.option("--node-feature/--no-node-feature", default=False, help="Keep an NFD NodeFeature object.")
@click.option(
    "--node-feature-namespace", envvar="POD_NAMESPACE", default="nvtopo", show_default=True, help="Where it is kept."
)
@click.option("--kubeconfig", type=click.Path(dir_okay=False, path_type=Path), help="Instead of the pod's own account.")
@page_options
@click.option(
    "--interval", type=click.FloatRange(min=1), default=60.0, show_default=True, help="Seconds between passes."
)
@click.option(
    "--boot-grace",
    type=click.FloatRange(min=0),
    default=300.0,
    show_default=True,
    help="Seconds after boot in which NVLinks that are not up count as training, and no label says ready or degraded.",
)
@click.option(
    "--label-lifetime",
    type=click.FloatRange(min=60),
    default=900.0,
    show_default=True,
    help="Seconds a label lives on.",
)
@click.option(
    "--sample-interval",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Seconds between samples of GPU counters, while somebody scrapes them; 0 for none.",
)
@click.option(
    "--nvml-events/--no-nvml-events",
    default=True,
    help="Listen to NVML's events (XIDs), which keeps the driver open: it can't be unloaded meanwhile.",
)
@click.option(
    "--nvml-deadline",
    type=click.FloatRange(min=1),
    default=20.0,
    show_default=True,
    help="Seconds the driver has for an answer; more where many GPUs start without persistence mode.",
)
@click.option(
    "--rdma-traffic/--no-rdma-traffic",
    default=True,
    help="Count bytes and packets of RDMA ports; not needed where node_exporter does.",
)
@click.option(
    "--rdma-queue-pairs/--no-rdma-queue-pairs",
    default=False,
    help="Count RDMA queue pairs by type and state; each costs its NIC's firmware a question at each scrape.",
)
@click.option(
    "--rdma-pause/--no-rdma-pause", default=True, help="Count pause frames of RoCE ports (ethtool -S), by priority."
)
@live_options
def command(  # noqa: PLR0913, PLR0917 - one parameter for each option
    once: bool,
    features_dir: Path,
    features: bool,
    resource: bool,
    events: bool | None,
    node_feature: bool,
    node_feature_namespace: str,
    kubeconfig: Path | None,
    listen: str,
    tls_cert_file: Path | None,
    tls_private_key_file: Path | None,
    bearer_token_file: Path | None,
    require_token: bool,
    audiences: tuple[str, ...],
    interval: float,
    boot_grace: float,
    label_lifetime: float,
    sample_interval: float,
    rdma_traffic: bool,
    rdma_queue_pairs: bool,
    rdma_pause: bool,
    nvml_events: bool,
    nvml_deadline: float,
    root: str,
    nvml: str | None,
    node_name: str | None,
) -> None:
    """Keep this node's labels, resource and metrics true to what the machine is."""
    from nvtopo import telemetry
    from nvtopo.agent import Agent
    from nvtopo.agent.rdma import RdmaOptions
    from nvtopo.errors import ReadError

    telemetry.log_to_stderr()
    authorize = authorize_of(bearer_token_file, audiences if require_token else None, kubeconfig)
    page = listen_of(listen, tls_cert_file, tls_private_key_file, authorize)
    name = node_name or os.uname().nodename
    sinks: list[Sink] = []
    if features:
        from nvtopo.sinks.nfd import FeatureFile

        sinks.append(FeatureFile(features_dir, timedelta(seconds=label_lifetime), lambda: datetime.now(UTC)))
    if resource:
        sinks.append(_resource(kubeconfig, name))
    if node_feature:
        sinks.append(_node_feature(kubeconfig, name, node_feature_namespace))
    machine = machine_of(root, nvml, node_name, nvml_deadline)
    hearing = _hearing(machine) if nvml_events and not once else None
    told = _events(kubeconfig, name) if (resource if events is None else events) and not once else None
    if told is not None:
        sinks.append(told)
        if hearing is not None:
            hearing.tell(told.hear)
    agent = Agent(machine, sinks, boot_grace_seconds=boot_grace, hearing=hearing, on_change=told.see if told else None)
    if once:
        agent.step()
        if not agent.delivered:
            raise ReadError("agent: not every sink could be written; the log above says which and why")
        return
    rdma_options = RdmaOptions(rdma_traffic, rdma_queue_pairs, rdma_pause)
    _serve(agent, machine, page, interval, sample_interval, hearing, rdma_options)
    if told is not None and told.waiting:
        logger.warning("events not told", extra={"count": told.waiting})


def _resource(kubeconfig: Path | None, name: str) -> "Sink":
    from nvtopo.kube.client import connect
    from nvtopo.kube.store import KubeStore
    from nvtopo.sinks.resource import ResourceSink

    return ResourceSink(KubeStore(connect(kubeconfig)), name)


def _events(kubeconfig: Path | None, name: str) -> "EventSink":
    from nvtopo.kube.client import connect
    from nvtopo.sinks.events import EventSink

    return EventSink(connect(kubeconfig), name)


def _node_feature(kubeconfig: Path | None, name: str, namespace: str) -> "Sink":
    from nvtopo.kube.client import connect
    from nvtopo.sinks.node_feature import NodeFeatureSink

    return NodeFeatureSink(connect(kubeconfig), name, namespace)


def _hearing(machine: "Machine") -> "Hearing | None":
    """Of the driver that the machine asks; None where it asks none."""
    from nvtopo.agent.hearing import Hearing
    from nvtopo.sources.nvml import NvmlWorker

    nvml = machine.nvml
    return Hearing(nvml.library, nvml.deadline_seconds) if isinstance(nvml, NvmlWorker) else None


def _serve(  # noqa: PLR0913, PLR0917 - what the page is made of
    agent: "Agent",
    machine: "Machine",
    listen: "Listen | None",
    interval: float,
    sample_interval: float,
    hearing: "Hearing | None",
    rdma_options: "RdmaOptions",
) -> None:
    """Run until SIGTERM or SIGINT, with the metrics page beside the loop."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    if listen is None:
        settle()
        agent.run(interval)
        return
    from nvtopo.agent import process
    from nvtopo.agent.page import Page
    from nvtopo.agent.parts import parts
    from nvtopo.agent.pods import PodsWatch
    from nvtopo.agent.sampler import sampling

    with sampling(machine, agent.latest, sample_interval) as sampled, PodsWatch(agent.root) as watch:
        heard = () if hearing is None else (hearing.part,)
        read = parts(agent.root, agent.latest, agent.changes, watch.latest, rdma_options)
        page = (*read, agent.sinks_part, process.part, *heard, *sampled)
        with Page(page, lambda: agent.delivered, lambda: agent.alive, listen=listen) as served:
            logger.info("serving", extra={"url": served.url})
            settle()
            agent.run(interval)
