"""The Prometheus that is asked for the load of nodes and the heat of jobs: options, and who asks."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from nvtopo.cli.option_group import Decorator, option_group
from nvtopo.cli.paths import FilePath
from nvtopo.errors import UsageError

if TYPE_CHECKING:
    from nvtopo.aggregator.heat_asker import HeatAsker
    from nvtopo.aggregator.heat_watch import HeatWatch
    from nvtopo.aggregator.node_load import NodeLoads


class LoadOptions(NamedTuple):
    """Which server is asked, and what."""

    prometheus: str = ""
    prometheus_token_file: Path | None = None
    queue_depth_query: str = ""
    cache_hit_query: str = ""
    load_node_label: str = "node"


class HeatOptions(NamedTuple):
    """Which server is asked how hot GPUs are."""

    prometheus: str = ""
    prometheus_token_file: Path | None = None


def _server(what: str) -> tuple[Decorator, ...]:
    return (
        click.option("--prometheus", metavar="URL", default="", help=f"Ask this Prometheus {what}: http://HOST:9090."),
        click.option(
            "--prometheus-token-file",
            type=FilePath(exists=True, dir_okay=False, path_type=Path),
            help="File with the bearer token for --prometheus.",
        ),
    )


_QUERIES: Final = (
    click.option(
        "--queue-depth-query",
        metavar="PROMQL",
        default="",
        help="Requests that wait at each node: 'sum by (node) (vllm:num_requests_waiting)'.",
    ),
    click.option(
        "--cache-hit-query",
        metavar="PROMQL",
        default="",
        help="Share of look-ups that each node's cache answers, from 0 to 1.",
    ),
    click.option(
        "--load-node-label",
        metavar="LABEL",
        default=LoadOptions().load_node_label,
        show_default=True,
        help="The label of these answers that names the node.",
    ),
)


heat_options = option_group("heat", HeatOptions, *_server("how hot the GPUs of --job are"))
load_options = option_group("load", LoadOptions, *_server("for the load of nodes"), *_QUERIES)
serving_options = option_group(
    "load", LoadOptions, *_server("for the load of nodes, and how hot the GPUs of jobs are"), *_QUERIES
)


def heat_asker(verb: str, server: str, token_file: Path | None) -> "HeatAsker | None":
    """Who asks how hot GPUs are; None if nobody is to.

    Raises:
        UsageError: the server is missing, or no URL.
    """
    from nvtopo.aggregator.heat_asker import HeatAsker
    from nvtopo.cli.cluster_source import token

    if not server:
        if token_file:
            raise UsageError(f"{verb}: expected --prometheus URL with its token")
        return None
    return HeatAsker(_checked(verb, server), partial(token, token_file))


def asked(load: LoadOptions, *, for_jobs: bool) -> "tuple[NodeLoads | None, HeatWatch | None]":
    """Who asks for the aggregator: for the load of nodes, and if it shows jobs, how hot their GPUs are.

    Raises:
        UsageError: as the two others.
    """
    from nvtopo.aggregator.heat_watch import HeatWatch

    loads = node_loads("aggregator", load, needed=not for_jobs)
    asker = heat_asker("aggregator", load.prometheus, load.prometheus_token_file) if for_jobs else None
    return loads, None if asker is None else HeatWatch(asker.ask)


def node_loads(verb: str, asked: LoadOptions, *, needed: bool = True) -> "NodeLoads | None":
    """Who asks for the load of nodes; None if nobody is to. ``needed`` is whether the server is asked nothing else.

    Raises:
        UsageError: the server or the queries are missing.
    """
    from nvtopo.aggregator.node_load import NodeLoads, Queries
    from nvtopo.cli.cluster_source import token

    if not asked.prometheus:
        if asked.queue_depth_query or asked.cache_hit_query or asked.prometheus_token_file:
            raise UsageError(f"{verb}: expected --prometheus URL with its queries and its token")
        return None
    server = _checked(verb, asked.prometheus)
    if not (asked.queue_depth_query or asked.cache_hit_query):
        if not needed:
            return None
        raise UsageError(f"{verb}: --prometheus: expected --queue-depth-query or --cache-hit-query too")
    return NodeLoads(
        Queries(
            server,
            asked.queue_depth_query,
            asked.cache_hit_query,
            asked.load_node_label,
            partial(token, asked.prometheus_token_file),
        )
    )


def _checked(verb: str, server: str) -> str:
    if not server.startswith(("http://", "https://")):
        raise UsageError(f"{verb}: --prometheus: expected a URL such as http://prometheus:9090, got {server!r}")
    return server
