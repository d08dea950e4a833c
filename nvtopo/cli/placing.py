"""What a running aggregator places gangs with: the ledger, who holds GPUs without it, and gangs of gated pods."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import click

from nvtopo.cli.option_group import option_group
from nvtopo.errors import UsageError

if TYPE_CHECKING:
    from starlette.routing import Route

    from nvtopo.aggregator.access import Access
    from nvtopo.aggregator.desk import Desk
    from nvtopo.aggregator.followed_slices import FollowedSlices
    from nvtopo.aggregator.heat_watch import HeatWatch
    from nvtopo.aggregator.loop import Aggregator
    from nvtopo.aggregator.node_load import NodeLoads
    from nvtopo.aggregator.placements import Placements
    from nvtopo.cluster.graph import ClusterGraph
    from nvtopo.exporters.job_document import Held
    from nvtopo.kube.client import Client
    from nvtopo.placement.pods import GpuPod
    from nvtopo.sinks.metrics.series import Family

Loop = Callable[[threading.Event], None]


class PlacingOptions(NamedTuple):
    """What is asked of it beside answering requests."""

    scheduler_extender: bool = False
    allocations: bool = False
    gangs: bool = False
    gang_claims: bool = False
    gang_holders: str = ""


placing_options = option_group(
    "place",
    PlacingOptions,
    click.option(
        "--scheduler-extender",
        is_flag=True,
        help="Answer kube-scheduler at /scheduler/filter and /scheduler/prioritize."
        " It shows no token: anybody may ask.",
    ),
    click.option(
        "--allocations/--no-allocations",
        default=PlacingOptions().allocations,
        show_default=True,
        help="Place no gang on GPUs that pods hold, by the NodeAllocations that agents write with the same option.",
    ),
    click.option(
        "--gangs/--no-gangs",
        default=PlacingOptions().gangs,
        show_default=True,
        help="Place gangs of gated pods, and count the GPUs of all pods. Needs the right to watch and patch pods.",
    ),
    click.option(
        "--gang-claims/--no-gang-claims",
        default=PlacingOptions().gang_claims,
        show_default=True,
        help="With --gangs: create the ResourceClaims of pods that ask for GPUs by claim, for exactly the chosen GPUs,"
        " and hold each gang until all of its pods have theirs.",
    ),
    click.option(
        "--gang-holders",
        default=PlacingOptions().gang_holders,
        metavar="IMAGE",
        help="With --gang-claims, if the API server has no binding conditions or a node does not run nvtopo's plugin:"
        " hold each gang with small pods of this image in its namespace, such as registry.k8s.io/pause:3.10."
        " Needs the right to create and delete pods. By default there are none.",
    ),
)


class Placing(NamedTuple):
    """The desk, what it follows, and what the page says of it."""

    desk: "Desk"
    for_scheduler: bool
    loops: tuple[Loop, ...] = ()
    families: tuple[Callable[[], "Iterator[Family]"], ...] = ()
    bound: "Callable[[], tuple[GpuPod, ...]] | None" = None
    """The pods that are bound; None if nobody follows them."""
    held: "Held" = lambda _node: None
    heat: "HeatWatch | None" = None

    def placements(self, access: "Access | None") -> "Placements":
        """The routes that place."""
        from nvtopo.aggregator.placements import Placements

        return Placements(self.desk, access, for_scheduler=self.for_scheduler)

    def jobs(self, aggregator: "Aggregator", access: "Access | None", *, loopback: bool) -> "list[Route]":
        """The routes that show jobs: to who has the right, or to everybody on loopback if no token is asked for."""
        from nvtopo.aggregator.jobs import Jobs

        return Jobs(self.bound, self.held, aggregator, access, for_everybody=loopback, heat=self.heat).routes


def placing(  # noqa: PLR0913, PLR0917 - what it places by
    aggregator: "Aggregator",
    client: "Client",
    term: Callable[[], int | None],
    namespace: str,
    asked: PlacingOptions,
    slices: "FollowedSlices",
    loads: "NodeLoads | None" = None,
    heat: "HeatWatch | None" = None,
) -> Placing:
    """Over the ledger of this namespace; with ``gangs`` it knows of other pods, and places gangs while this leads."""
    from nvtopo.aggregator import gang_metrics
    from nvtopo.aggregator.counted_pods import CountedPods
    from nvtopo.aggregator.desk import Desk
    from nvtopo.aggregator.device_watch import DeviceWatch
    from nvtopo.aggregator.fleets import NOBODY_ASKS
    from nvtopo.aggregator.gang_claimer import GangClaimer
    from nvtopo.aggregator.gang_keeper import GangKeeper
    from nvtopo.aggregator.gang_mover import GangMover
    from nvtopo.aggregator.holdings import Holdings
    from nvtopo.kube.allocations import Allocations
    from nvtopo.kube.gpu_pods import GpuPods
    from nvtopo.kube.node_states import Nodes
    from nvtopo.kube.reservations import Reservations
    from nvtopo.kube.resource_claims import ResourceClaims
    from nvtopo.placement.devices import NOTHING_CLAIMED

    if asked.gang_claims and not asked.gangs:
        raise UsageError("--gang-claims: expected --gangs too")
    if asked.gang_holders and not asked.gang_claims:
        raise UsageError("--gang-holders: expected --gang-claims too")
    holdings = Holdings(Allocations(client)) if asked.allocations else None
    counted = CountedPods()
    graph: Callable[[], ClusterGraph | None] = lambda: aggregator.graph  # noqa: E731
    devices = DeviceWatch(slices, ResourceClaims(client), graph) if asked.gang_claims else None
    desk = Desk(
        graph,
        Reservations(client, namespace, time.time),
        time.time,
        used=holdings.use if holdings else lambda: NOBODY_ASKS,
        counted=counted.counted,
        load=loads.known if loads else lambda _seconds: MappingProxyType({}),
        claimed=devices.claimed if devices else lambda: NOTHING_CLAIMED,
    )
    found = Placing(desk, asked.scheduler_extender, (holdings.run,) if holdings else ())
    if holdings is not None:
        found = found._replace(held=holdings.of)
    if loads is not None:
        found = found._replace(loops=(*found.loops, loads.run), families=(loads.families,))
    if not asked.gangs:
        return found
    claimer = GangClaimer(devices, client, graph, time.time, image=asked.gang_holders) if devices else None
    mover = GangMover(Nodes(client), graph, time.time)
    keeper = GangKeeper(GpuPods(client), counted, desk, client, term=term, graph=graph, claimer=claimer, mover=mover)
    followed = (slices.run, devices.run) if devices else ()
    loops = (*found.loops, keeper.run, keeper.applier.run, mover.run, *followed)
    found = found._replace(loops=(*loops, heat.run) if heat else loops, bound=counted.bound, heat=heat)
    return found._replace(families=(*found.families, partial(gang_metrics.families, keeper)))
