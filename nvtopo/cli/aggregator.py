"""``nvtopo aggregator``: the graph of the cluster, with its API and page."""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nvtopo.auth.hosts import is_loopback
from nvtopo.cli import logs
from nvtopo.cli.cluster_name import cluster_name_option
from nvtopo.cli.common_options import kubeconfig_option
from nvtopo.cli.export_keeping import ApplyOptions, apply_options, kept_applied
from nvtopo.cli.listen import parse_listen
from nvtopo.cli.load_queries import LoadOptions, asked, serving_options
from nvtopo.cli.object_names import NAME, NAMESPACE
from nvtopo.cli.page import audience_option, tls_of, tls_options
from nvtopo.cli.placing import PlacingOptions, placing_options
from nvtopo.cli.placing import placing as placing_of
from nvtopo.cli.tier_sources import Sources, followed_slices, loops, source_options
from nvtopo.errors import UsageError
from nvtopo.extras import how_to_install
from nvtopo.runtime.gc_tuning import freeze_settled, freeze_startup
from nvtopo.runtime.stop_signals import stopping
from nvtopo.runtime.switching import switch_often

if TYPE_CHECKING:
    from nvtopo.aggregator.event_writer import EventWriter
    from nvtopo.aggregator.loop import Aggregator
    from nvtopo.aggregator.spans import Spans
    from nvtopo.aggregator.trail import Trail
    from nvtopo.kube.client import Client

logger = logging.getLogger(__name__)


@click.command("aggregator")
@kubeconfig_option
@click.option(
    "--listen", default="127.0.0.1:8080", show_default=True, help="Address of the API and the page, as HOST:PORT."
)
@click.option(
    "--namespace",
    type=NAMESPACE,
    envvar="POD_NAMESPACE",
    default="nvtopo",
    show_default=True,
    help="Namespace of the leader election's Lease and of the agents' pods.",
)
@cluster_name_option
@click.option(
    "--require-token/--anonymous",
    default=None,
    help="Require a bearer token, which the API server reviews.  [default: require, unless listening on loopback]",
)
@audience_option("Audience that the readers' tokens must name. May be repeated.")
@click.option(
    "--stale-after",
    type=click.FloatRange(min=1),
    default=30.0,
    show_default=True,
    help="Seconds that an agent's pod may be not ready, or missing, before its node is stale.",
)
@click.option(
    "--drift-after",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Seconds that a difference from what is expected must last to be drift.",
)
@click.option(
    "--boot-grace",
    type=click.FloatRange(min=0),
    default=600.0,
    show_default=True,
    help="Seconds after a node appeared, or is heard again, in which nothing of it becomes drift.",
)
@placing_options
@serving_options
@source_options
@apply_options
@click.option(
    "--history-entries",
    type=click.IntRange(0, 256),
    default=32,
    show_default=True,
    help="Changes that are kept of each node; 0 keeps none.",
)
@click.option(
    "--history-days", type=click.FloatRange(min=0), default=30.0, show_default=True, help="Days that they are kept."
)
@click.option("--no-events", is_flag=True, help="Don't send Kubernetes Events when drift begins or ends.")
@click.option(
    "--admission-policy",
    "policies",
    multiple=True,
    type=NAME,
    metavar="NAME",
    help="Report also if this admission policy is not in force, as those of the agents. May be repeated.",
)
@click.option(
    "--traces",
    metavar="URL",
    help="Send spans of each change, from the watch's event to subscribers and statuses, to this collector of "
    "OpenTelemetry: OTLP over HTTP, such as http://collector:4318.  [default: no spans]",
)
@tls_options
def command(  # noqa: PLR0913, PLR0917 - one parameter for each option
    kubeconfig: Path | None,
    listen: str,
    namespace: str,
    cluster_name: str | None,
    require_token: bool | None,
    audiences: tuple[str, ...],
    stale_after: float,
    drift_after: float,
    boot_grace: float,
    place: PlacingOptions,
    load: LoadOptions,
    sources: Sources,
    history_entries: int,
    history_days: float,
    keep: ApplyOptions,
    no_events: bool,
    policies: tuple[str, ...],
    traces: str | None,
    tls_cert_file: Path | None,
    tls_private_key_file: Path | None,
) -> None:
    """Build the graph of the cluster from all NodeTopologies, and serve it."""
    from nvtopo.aggregator import writer_metrics
    from nvtopo.aggregator.access import LIFETIMES, Access
    from nvtopo.aggregator.admission_watch import AdmissionWatch
    from nvtopo.aggregator.drift_parts import DriftParts
    from nvtopo.aggregator.loop import Aggregator
    from nvtopo.aggregator.server import GraphServer
    from nvtopo.aggregator.signs_of_life import SignsOfLife
    from nvtopo.aggregator.site import Site
    from nvtopo.aggregator.status import StatusWriter
    from nvtopo.auth.authorizer import Authorizer
    from nvtopo.auth.reviews import Reviewer
    from nvtopo.cluster.drift import Timing
    from nvtopo.kube import admission
    from nvtopo.kube.agent_pods import AgentPods
    from nvtopo.kube.applier import Applier
    from nvtopo.kube.client import connect
    from nvtopo.kube.lease import Leadership
    from nvtopo.kube.store import KubeStore
    from nvtopo.runtime.fallen_threads import FallenThreads

    address, port = parse_listen(listen)
    tls = tls_of(tls_cert_file, tls_private_key_file)
    loads, heat = asked(load, for_jobs=place.gangs)
    logs.begin()
    threads = FallenThreads()
    stop = threading.Event()
    with (
        threads,
        stopping(stop.set),
        contextlib.closing(_spans(traces, cluster_name)) as spans,
        connect(kubeconfig) as client,
    ):
        store = KubeStore(client, coming=lambda nodes: aggregator.coming(nodes))  # noqa: PLW0108 - made below
        aggregator = Aggregator(
            store,
            first_generation=generation_at(time.time()),
            settle=freeze_settled,
            trail=_trail(history_entries, history_days),
            spans=spans,
        )
        leadership = Leadership(client, namespace, "nvtopo-aggregator", _identity(), fit=threads.all_run)
        applier = Applier("status", spans.writes(store.set_status), lambda: leadership.term)
        writer = StatusWriter(aggregator, applier, lambda: leadership.term, has=store.has)
        signs = SignsOfLife(
            AgentPods(client, namespace), partial(_names, aggregator), aggregator.silence, grace_seconds=stale_after
        )
        admitted = AdmissionWatch(partial(admission.look, client, policies), lambda: store.foreign)
        drift = DriftParts(
            client,
            namespace,
            aggregator,
            timing := Timing(drift_after, boot_grace),
            events=None if no_events else _events(client, _identity(), lambda: leadership.term),
            drifted=lambda: store.drifting,
        )
        kept = kept_applied(
            aggregator, client, lambda: leadership.term, keep, namespace, timing, slices := followed_slices(client)
        )
        placing = placing_of(aggregator, client, lambda: leadership.term, namespace, place, slices, loads, heat)
        figures = partial(writer_metrics.families, leadership, applier)
        with contextlib.ExitStack() as open_while_running:
            enter = open_while_running.enter_context
            asks = not is_loopback(address) if require_token is None else require_token
            access = enter(Access(Authorizer(Reviewer(client, audiences), LIFETIMES))) if asks else None
            server = enter(
                GraphServer(
                    aggregator,
                    address=address,
                    port=port,
                    access=access,
                    parts=(figures, admitted.families, drift.families, *kept.families, *placing.families),
                    tls=tls,
                    alive=threads.all_run,
                    site=Site(cluster_name, lambda: store.away_seconds),
                    more=(
                        *enter(placing.placements(access)).routes,
                        *placing.jobs(aggregator, access, loopback=is_loopback(address)),
                    ),
                )
            )
            enter(_running(threading.Event(), leadership.run))  # left last: who writes has ended before it lets go
            own = (writer.run, applier.run, signs.run, admitted.run, *drift.loops, *placing.loops, *kept.loops)
            enter(_running(stop, *own, *loops(aggregator, client, sources, slices)))
            logger.info("serving", extra={"url": server.url, "requires_token": asks})
            freeze_startup()
            with switch_often():
                aggregator.run(stop)


def _identity() -> str:
    return f"{os.uname().nodename}-{os.getpid()}"


def _events(client: "Client", identity: str, term: Callable[[], int | None]) -> "EventWriter":
    from nvtopo.aggregator.event_writer import EventWriter

    return EventWriter(client, identity, term)


@contextlib.contextmanager
def _running(stop: threading.Event, *loops: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run each loop in a thread, once if several parts name it; stop and join them at the end."""
    threads = [threading.Thread(target=loop, args=(stop,), name=_called(loop)) for loop in dict.fromkeys(loops)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _called(loop: Callable[[threading.Event], None]) -> str:
    """``StatusWriter.run``: by the object's own class, so that two that inherit one ``run`` are told apart."""
    owner = getattr(loop, "__self__", None)
    return loop.__qualname__ if owner is None else f"{type(owner).__name__}.{loop.__name__}"


def _trail(entries: int, days: float) -> "Trail":
    from nvtopo.aggregator.trail import Trail
    from nvtopo.cluster.history import Limits

    return Trail(Limits(entries, days))


def _spans(endpoint: str | None, cluster: str | None) -> "Spans":
    """Where spans go; OpenTelemetry is imported only if they go anywhere."""
    if endpoint is None:
        from nvtopo.aggregator.spans import Spans

        return Spans()
    try:
        from nvtopo.aggregator.otlp import OtlpSpans
    except ImportError as error:
        raise UsageError(f"aggregator: --traces needs OpenTelemetry: {how_to_install('tracing')}") from error
    return OtlpSpans(endpoint, _identity(), cluster)


def _names(aggregator: "Aggregator") -> Collection[str]:
    """The nodes of the graph; none before the first."""
    return () if aggregator.graph is None else aggregator.graph.nodes.keys()


def generation_at(seconds: float) -> int:
    """The first generation: Unix microseconds, so that a restarted process never reuses an ETag.

    Nor does another replica: one that started a second earlier comes to these numbers after a million graphs.
    """
    return int(seconds * 1_000_000)
