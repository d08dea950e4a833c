"""Where the measured load of nodes comes from, for verbs that place: options, and who asks."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from nvtopo.cli.option_group import option_group
from nvtopo.errors import UsageError

if TYPE_CHECKING:
    from nvtopo.aggregator.node_load import NodeLoads


class LoadOptions(NamedTuple):
    """Which server is asked, and what."""

    prometheus: str = ""
    prometheus_token_file: Path | None = None
    queue_depth_query: str = ""
    cache_hit_query: str = ""
    load_node_label: str = "node"


load_options = option_group(
    "load",
    LoadOptions,
    click.option(
        "--prometheus", metavar="URL", default="", help="Ask this Prometheus for the load of nodes: http://HOST:9090."
    ),
    click.option(
        "--prometheus-token-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="File with the bearer token for --prometheus.",
    ),
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


def node_loads(verb: str, asked: LoadOptions) -> "NodeLoads | None":
    """Who asks for the load of nodes; None if nobody is to.

    Raises:
        UsageError: the server or the queries are missing.
    """
    from nvtopo.aggregator.node_load import NodeLoads, Queries
    from nvtopo.cli.cluster_source import token

    if not asked.prometheus:
        if asked.queue_depth_query or asked.cache_hit_query or asked.prometheus_token_file:
            raise UsageError(f"{verb}: expected --prometheus URL beside its queries and its token")
        return None
    if not asked.prometheus.startswith(("http://", "https://")):
        raise UsageError(
            f"{verb}: --prometheus: expected a URL such as http://prometheus:9090, got {asked.prometheus!r}"
        )
    if not (asked.queue_depth_query or asked.cache_hit_query):
        raise UsageError(f"{verb}: --prometheus: expected --queue-depth-query or --cache-hit-query too")
    return NodeLoads(
        Queries(
            asked.prometheus,
            asked.queue_depth_query,
            asked.cache_hit_query,
            asked.load_node_label,
            partial(token, asked.prometheus_token_file),
        )
    )
