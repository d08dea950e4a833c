"""The options of ``nvtopo agent``, in groups. Each default is said once: here, or by the class that it is of."""

from pathlib import Path
from typing import Final, NamedTuple

import click

from nvtopo.agent.parts.rdma import RdmaOptions
from nvtopo.agent.parts.sampler_policy import Pace
from nvtopo.cli.common_options import kubeconfig_option
from nvtopo.cli.object_names import NAMESPACE
from nvtopo.cli.option_group import option_group
from nvtopo.cli.paths import FilePath
from nvtopo.model.conclusions.training import BOOT_GRACE_SECONDS
from nvtopo.sources.nvml.topology import DEADLINE_SECONDS


class SinkOptions(NamedTuple):
    """What is published, and where."""

    features: bool = True
    features_dir: Path = Path("/etc/kubernetes/node-feature-discovery/features.d")
    label_lifetime: float = 900.0
    product_labels: bool = False
    dranet_socket: Path | None = None
    resource: bool = True
    events: bool | None = None
    node_feature: bool = False
    node_feature_namespace: str = "nvtopo"
    allocations: bool = False
    kubeconfig: Path | None = None


class LoopOptions(NamedTuple):
    """When the machine is read."""

    once: bool = False
    interval: float = 60.0
    boot_grace: float = BOOT_GRACE_SECONDS
    expect: Path | None = None
    expectations: Path = Path("/etc/nvtopo/expectations/expectations.yaml")


class DriverOptions(NamedTuple):
    """How NVML is asked."""

    sample_interval: float = Pace().interval
    nvml_events: bool = True
    nvml_deadline: float = DEADLINE_SECONDS


class LldpOptions(NamedTuple):
    """Whether the agent listens for LLDP."""

    lldp: bool = False
    lldp_ports: tuple[str, ...] = ()


_SINKS: Final = SinkOptions()
_LOOP: Final = LoopOptions()
_DRIVER: Final = DriverOptions()
_RDMA: Final = RdmaOptions()

sink_options = option_group(
    "publish",
    SinkOptions,
    click.option(
        "--features-dir",
        type=FilePath(file_okay=False, path_type=Path),
        default=_SINKS.features_dir,
        show_default=True,
        help="Directory from which NFD's worker reads feature files.",
    ),
    click.option(
        "--features/--no-features",
        default=_SINKS.features,
        help="Write NFD's feature file.",
        show_default=_SINKS.features,
    ),
    click.option(
        "--product-labels/--no-product-labels",
        default=_SINKS.product_labels,
        show_default=True,
        help="Labels of driver, CUDA and GPU product too, for clusters without GPU feature discovery.",
    ),
    click.option(
        "--resource/--no-resource",
        default=_SINKS.resource,
        help="Write the NodeTopology resource.",
        show_default=_SINKS.resource,
    ),
    click.option(
        "--events/--no-events",
        default=_SINKS.events,
        help="Report changes as Kubernetes Events on the Node. By default, as --resource.",
    ),
    click.option(
        "--node-feature/--no-node-feature",
        default=_SINKS.node_feature,
        help="Write an NFD NodeFeature object.",
        show_default=True,
    ),
    click.option(
        "--node-feature-namespace",
        type=NAMESPACE,
        envvar="POD_NAMESPACE",
        default=_SINKS.node_feature_namespace,
        show_default=True,
        help="Namespace of the NodeFeature object.",
    ),
    click.option(
        "--allocations/--no-allocations",
        default=_SINKS.allocations,
        show_default=True,
        help="Write the NodeAllocation resource: which pods hold which GPUs and NICs. Needs the kubelet's socket.",
    ),
    click.option(
        "--dranet-socket",
        type=FilePath(dir_okay=False, path_type=Path),
        help="Unix socket on which dranet, as its webhook provider, gets each NIC's rail, plane, leaf and complex.",
    ),
    kubeconfig_option,
    click.option(
        "--label-lifetime",
        type=click.FloatRange(min=60),
        default=_SINKS.label_lifetime,
        show_default=True,
        help="Seconds that labels outlive the agent: NFD drops them this long after the last pass.",
    ),
)

loop_options = option_group(
    "loop",
    LoopOptions,
    click.option("--once", is_flag=True, help="Make one pass and exit, with 3 if a sink could not be written."),
    click.option(
        "--interval",
        type=click.FloatRange(min=1),
        default=_LOOP.interval,
        show_default=True,
        help="Seconds between passes while no event triggers one.",
    ),
    click.option(
        "--expect",
        type=FilePath(dir_okay=False, path_type=Path),
        help="File that says what machines of each shape should have (YAML or JSON); read again when it changes.",
    ),
    click.option(
        "--expectations",
        type=FilePath(dir_okay=False, path_type=Path),
        default=_LOOP.expectations,
        show_default=True,
        help="The same, from the ConfigMap nvtopo-expectations if it is mounted; --expect takes precedence.",
    ),
    click.option(
        "--boot-grace",
        type=click.FloatRange(min=0),
        default=_LOOP.boot_grace,
        show_default=True,
        help="Seconds after boot in which NVLinks that are not up count as training: no label says ready or degraded.",
    ),
)

lldp_options = option_group(
    "hear",
    LldpOptions,
    click.option(
        "--lldp/--no-lldp",
        default=False,
        show_default=True,
        help="Learn by LLDP which switch each port is cabled to. Needs CAP_NET_RAW and the host's network.",
    ),
    click.option(
        "--lldp-port",
        "lldp_ports",
        metavar="NAME",
        multiple=True,
        help="Listen only on this network device. May be repeated. By default on every physical one.",
    ),
)

driver_options = option_group(
    "driver",
    DriverOptions,
    click.option(
        "--sample-interval",
        type=click.FloatRange(min=0),
        default=_DRIVER.sample_interval,
        show_default=True,
        help="Seconds between samples of GPU counters while Prometheus scrapes them; 0 turns sampling off.",
    ),
    click.option(
        "--nvml-events/--no-nvml-events",
        default=_DRIVER.nvml_events,
        show_default=_DRIVER.nvml_events,
        help="Receive NVML's events (XIDs). This keeps the driver open, so it can't be unloaded meanwhile.",
    ),
    click.option(
        "--nvml-deadline",
        type=click.FloatRange(min=1),
        default=_DRIVER.nvml_deadline,
        show_default=True,
        help="Seconds to wait for the driver's answer. Many GPUs without persistence mode need more.",
    ),
)

rdma_options = option_group(
    "rdma",
    RdmaOptions,
    click.option(
        "--rdma-traffic/--no-rdma-traffic",
        "traffic",
        default=_RDMA.traffic,
        show_default=_RDMA.traffic,
        help="Count bytes and packets of RDMA ports. Not needed if node_exporter does.",
    ),
    click.option(
        "--rdma-queue-pairs/--no-rdma-queue-pairs",
        "queue_pairs",
        default=_RDMA.queue_pairs,
        show_default=True,
        help="Count RDMA queue pairs by type and state."
        " Each scrape then asks the NIC's firmware once for each queue pair.",
    ),
    click.option(
        "--rdma-pause/--no-rdma-pause",
        "pause",
        default=_RDMA.pause,
        show_default=_RDMA.pause,
        help="Count pause frames of RoCE ports by priority (ethtool -S).",
    ),
)
