"""``--apply KIND`` of the aggregator: exported objects that it keeps applied."""

from collections.abc import Callable, Iterator
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

import click

from nvtopo.cli.export import APPLIED
from nvtopo.cli.export_inputs import gangs_option
from nvtopo.cli.option_group import option_group

if TYPE_CHECKING:
    from nvtopo.aggregator.loop import Aggregator
    from nvtopo.kube.client import Client
    from nvtopo.sinks.metrics.series import Family


class ApplyOptions(NamedTuple):
    """What is kept applied."""

    applied: tuple[str, ...] = ()
    gangs_per_domain: int = 1


apply_options = option_group(
    "keep",
    ApplyOptions,
    click.option(
        "--apply",
        "applied",
        type=click.Choice(APPLIED, case_sensitive=False),
        multiple=True,
        help="Kind of `nvtopo export` whose objects to keep applied. May be repeated.",
    ),
    gangs_option,
)


class KeptApplied(NamedTuple):
    """What runs for it, and what the page says of it; nothing without the option."""

    loops: tuple[Callable[[Event], None], ...] = ()
    families: tuple[Callable[[], "Iterator[Family]"], ...] = ()


def kept_applied(
    aggregator: "Aggregator", client: "Client", term: Callable[[], int | None], keep: ApplyOptions, namespace: str
) -> KeptApplied:
    """For these kinds, while this replica leads."""
    if not keep.applied:
        return KeptApplied()
    from nvtopo.aggregator import export_metrics
    from nvtopo.aggregator.export_keeper import ExportKeeper
    from nvtopo.exporters.schedulers.owned import Owner

    kinds, owner = tuple(dict.fromkeys(keep.applied)), Owner(namespace, "nvtopo")
    keeper = ExportKeeper(aggregator, client, term, kinds, owner, gangs=keep.gangs_per_domain)
    return KeptApplied((keeper.run, keeper.applier.run), (partial(export_metrics.families, keeper),))
