"""Sources beside the nodes that a running aggregator follows, of tiers and of devices: their options and loops."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from nvtopo.cli.option_group import option_group
from nvtopo.cli.paths import FilePath

if TYPE_CHECKING:
    from nvtopo.aggregator.followed_slices import FollowedSlices
    from nvtopo.aggregator.loop import Aggregator
    from nvtopo.kube.client import Client

Loop = Callable[[threading.Event], None]

topology_option = click.option(
    "--topology",
    type=FilePath(file_okay=False, path_type=Path),
    help="Folder of topology files (as `graph --from` reads them), read again when one changes.",
)


class Sources(NamedTuple):
    """Which of them were asked for."""

    topology: Path | None = None
    node_labels: bool = False
    resource_slices: bool = False


source_options = option_group(
    "sources",
    Sources,
    topology_option,
    click.option(
        "--node-labels/--no-node-labels",
        default=Sources().node_labels,
        show_default=True,
        help="Watch the labels of Nodes that say where they are. Needs the right to list and watch Nodes.",
    ),
    click.option(
        "--resource-slices/--no-resource-slices",
        default=Sources().resource_slices,
        show_default=True,
        help="Compare what DRA drivers publish with what nodes see. Needs the right to list and watch ResourceSlices.",
    ),
)


def followed_slices(client: "Client") -> "FollowedSlices":
    """What all parts read that look at ResourceSlices; each of them has its loop among its own."""
    from nvtopo.aggregator.followed_slices import FollowedSlices
    from nvtopo.kube.resource_slices import ResourceSlices

    return FollowedSlices(ResourceSlices(client))


def loops(aggregator: "Aggregator", client: "Client", asked: Sources, slices: "FollowedSlices") -> Iterator[Loop]:
    """Those of the sources that were asked for."""
    from nvtopo.aggregator import heard_neighbors, node_label_tiers, slice_watch, topology_files
    from nvtopo.aggregator.known import KnownNodes
    from nvtopo.fabrics import labels
    from nvtopo.kube.node_labels import NodeLabels

    told = partial(aggregator.tell, heard_neighbors.SOURCE)
    yield heard_neighbors.HeardNeighbors(lambda: aggregator.graph, told).run
    if asked.topology is not None:
        told = partial(aggregator.tell, topology_files.SOURCE)
        yield topology_files.TopologyFiles(asked.topology, KnownNodes(lambda: aggregator.graph), told).run
    if asked.node_labels:
        followed = NodeLabels(client, labels.knows)
        yield node_label_tiers.NodeLabelTiers(followed, partial(aggregator.tell, node_label_tiers.SOURCE)).run
    if asked.resource_slices:
        yield from (slices.run, slice_watch.SliceWatch(slices, aggregator).run)
