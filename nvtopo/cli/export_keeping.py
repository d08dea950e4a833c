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
    from nvtopo.aggregator.followed_slices import FollowedSlices
    from nvtopo.aggregator.loop import Aggregator
    from nvtopo.cluster.drift import Timing
    from nvtopo.kube.client import Client
    from nvtopo.sinks.metrics.series import Family


class ApplyOptions(NamedTuple):
    """What is kept applied."""

    applied: tuple[str, ...] = ()
    gangs_per_domain: int = 1
    most_device_taints: int = 64


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
    click.option(
        "--most-device-taints",
        type=click.IntRange(1, 1024),
        default=ApplyOptions().most_device_taints,
        show_default=True,
        help="DeviceTaintRules at a time, for dra-taints; never for more than a quarter of the GPUs.",
    ),
)


class KeptApplied(NamedTuple):
    """What runs for it, and what the page says of it; nothing without the option."""

    loops: tuple[Callable[[Event], None], ...] = ()
    families: tuple[Callable[[], "Iterator[Family]"], ...] = ()


def kept_applied(  # noqa: PLR0913, PLR0917 - what is kept, where, and when a fault counts
    aggregator: "Aggregator",
    client: "Client",
    term: Callable[[], int | None],
    keep: ApplyOptions,
    namespace: str,
    timing: "Timing",
    slices: "FollowedSlices",
) -> KeptApplied:
    """For these kinds, while this replica leads. ``timing`` is how long a fault lasts before its GPU is tainted."""
    if not keep.applied:
        return KeptApplied()
    from nvtopo.aggregator import export_metrics
    from nvtopo.aggregator.device_taints import TaintSource
    from nvtopo.aggregator.export_keeper import ExportKeeper
    from nvtopo.exporters.schedulers.owned import Owner

    kinds, owner = tuple(dict.fromkeys(keep.applied)), Owner(namespace, "nvtopo")
    timed = {}
    if "dra-taints" in kinds:
        timed["dra-taints"] = TaintSource(slices, aggregator, timing, most=keep.most_device_taints)
    keeper = ExportKeeper(aggregator, client, term, kinds, owner, gangs=keep.gangs_per_domain, timed=timed)
    followed = (slices.run,) if timed else ()
    families = (source.families for source in timed.values())
    return KeptApplied(
        (keeper.run, keeper.applier.run, *followed), (partial(export_metrics.families, keeper), *families)
    )
