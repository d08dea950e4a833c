"""``nvtopo accept``: what is observed of nodes is right, until it is revoked or ends."""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from nvtopo.cli.common_options import kubeconfig_option
from nvtopo.cli.object_names import NAMESPACE
from nvtopo.errors import ApiError, Conflict, NotFound, UsageError
from nvtopo.kube.timestamps import rfc3339_of
from nvtopo.model.formats.near import hint

if TYPE_CHECKING:
    from nvtopo.cluster.accepted import Act
    from nvtopo.cluster.graph import ClusterGraph
    from nvtopo.kube.accepted import Acts
    from nvtopo.kube.client import Client

_ATTEMPTS: Final = 5
_SHOWN: Final = 8
_DURATION: Final = re.compile(r"([0-9]{1,6})([smhdw])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@click.command("accept")
@click.argument("nodes", metavar="[NODE]...", nargs=-1)
@click.option("--shape", metavar="PRODUCT", help="All nodes of this product, as `nvtopo dump` names it.")
@click.option("--all", "every", is_flag=True, help="All nodes.")
@click.option(
    "--until", metavar="TIME", help="When it ends: 12h, 7d, or 2027-01-31T12:00:00Z. By default it lasts until revoked."
)
@click.option("--reason", default="", metavar="TEXT", help="Why, for those who read it later.")
@click.option("--revoke", is_flag=True, help="Withdraw what was accepted for these nodes.")
@click.option("--list", "listed", is_flag=True, help="Show what is accepted.")
@click.option(
    "--namespace", type=NAMESPACE, envvar="POD_NAMESPACE", default="nvtopo", show_default=True, help="The aggregator's."
)
@kubeconfig_option
def command(  # noqa: PLR0913, PLR0917 - one parameter for each option
    nodes: tuple[str, ...],
    shape: str | None,
    every: bool,
    until: str | None,
    reason: str,
    revoke: bool,
    listed: bool,
    namespace: str,
    kubeconfig: Path | None,
) -> None:
    """Accept what is observed of nodes as what is expected of them.

    The aggregator writes it into status.expected.accepted of each node. Versions are accepted as well, so revoke or let
    it end before the next rollout. Needs the roles nvtopo-acceptor and nvtopo-reader.
    """
    now = datetime.now(UTC)
    ends = None if until is None else end_of(until, now)
    _check(bool(nodes) + (shape is not None) + every, reason, revoke=revoke, listed=listed, until=until)
    from nvtopo.kube.client import connect

    with connect(kubeconfig) as client:
        if listed:
            click.echo(_listing(_read(client, namespace).acts, rfc3339_of(now), set(nodes)), nl=False)
            return
        graph = None if revoke and nodes else _graph(client)
        chosen = sorted(set(nodes)) if graph is None else _chosen(graph, nodes, shape)
        for attempt in range(_ATTEMPTS):
            known = _read(client, namespace)
            changed = _revoked(known, chosen, now)
            if graph is not None and not revoke:
                changed |= _accepted(graph, chosen, (now, ends, reason))
            if not changed:
                break
            try:
                _write(client, namespace, changed, known)
                break
            except Conflict:
                if attempt == _ATTEMPTS - 1:
                    raise
    what = "revoked what was accepted" if revoke else "accepted what is observed"
    end = f" until {rfc3339_of(ends)}" if ends else ""
    click.echo(f"{what} of {len(chosen)} node{'' if len(chosen) == 1 else 's'}{end}")


def end_of(text: str, now: datetime) -> datetime:
    """A moment, from itself or from a duration such as ``12h``.

    Raises:
        UsageError: it is neither, or not in the future.
    """
    found = _DURATION.fullmatch(text)
    try:
        end = now + timedelta(seconds=int(found[1]) * _UNITS[found[2]]) if found else datetime.fromisoformat(text)
        end = (end if end.tzinfo else end.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--until: expected 12h, 7d or 2027-01-31T12:00:00Z, got {text!r}") from error
    if end <= now:
        raise UsageError(f"--until: expected a time in the future, got {text!r}")
    return end


def _check(choices: int, reason: str, *, revoke: bool, listed: bool, until: str | None) -> None:
    from nvtopo.cluster.accepted import LONGEST_REASON

    if choices > 1 or (choices == 0 and not listed):
        raise UsageError("accept: expected nodes, --shape or --all, one of them")
    if revoke and (until or reason or listed):
        raise UsageError("accept: --revoke takes no --until, --reason or --list")
    if len(reason) > LONGEST_REASON or not reason.isprintable():
        raise UsageError(f"--reason: expected one line of at most {LONGEST_REASON} characters")


def _graph(client: "Client") -> "ClusterGraph":
    from nvtopo.cluster.graph import build
    from nvtopo.cluster.inventory import Inventory, fold
    from nvtopo.kube.reader import Reader

    return build(fold(Inventory(), Reader(client).list()))


def _chosen(graph: "ClusterGraph", nodes: Iterable[str], shape: str | None) -> list[str]:
    """The nodes that are meant.

    Raises:
        UsageError: there is none, or one of those that are named is not there or can't be read.
    """
    readable = {name: node.topology for name, node in graph.nodes.items() if node.topology is not None}
    named = sorted(set(nodes))
    unknown = [name for name in named if name not in readable]
    if unknown:
        raise UsageError(
            f"accept: expected nodes with a NodeTopology that can be read, got {', '.join(unknown[:_SHOWN])}"
            f"{hint(unknown[0], readable)}"
        )
    chosen = named or [name for name, one in readable.items() if shape is None or one.host.product == shape]
    if not chosen:
        products = sorted({one.host.product for one in readable.values() if one.host.product})
        raise UsageError(f"accept: no node is of that shape; there are: {', '.join(products[:_SHOWN]) or 'none'}")
    return chosen


def _accepted(
    graph: "ClusterGraph", chosen: Collection[str], act: tuple[datetime, datetime | None, str]
) -> "dict[str, Act | None]":
    """A new act for these nodes."""
    from secrets import token_hex

    from nvtopo.cluster.acceptance import groups_of
    from nvtopo.cluster.accepted import Act
    from nvtopo.cluster.drift_fleet import differing_at_once

    now, ends, reason = act
    groups = groups_of((graph.nodes[name] for name in chosen), differing_at_once(graph))
    until = None if ends is None else rfc3339_of(ends)
    made = Act(at=rfc3339_of(now), until=until, reason=reason, groups=groups)
    return {f"act-{token_hex(8)}": made}


def _revoked(known: "Acts", chosen: Collection[str], now: datetime) -> "dict[str, Act | None]":
    from nvtopo.cluster.acceptance import revoked

    return revoked(known.acts, set(chosen), rfc3339_of(now))


def _read(client: "Client", namespace: str) -> "Acts":
    from nvtopo.kube import accepted

    try:
        return accepted.read(client, namespace)
    except NotFound as error:
        where = f"ConfigMap {accepted.NAME} in the namespace {namespace}"
        raise ApiError(f"{where}: not there; daemonset/rbac.yaml has it", status=error.status) from error


def _write(client: "Client", namespace: str, changed: "Mapping[str, Act | None]", known: "Acts") -> None:
    from nvtopo.kube import accepted

    accepted.write(client, namespace, changed, known)


def _listing(acts: "Mapping[str, Act]", now: str, only: Collection[str]) -> str:
    """One line for each node."""
    from nvtopo.cluster.acceptance import standing
    from nvtopo.model.formats.printable import printable

    lines = [
        f"{name}: accepted at {one.at}"
        + (f" until {one.until}" if one.until else "")
        + (f": {one.reason}" if one.reason else "")
        for name, one in sorted(standing(acts, now).items())
        if not only or name in only
    ]
    return "".join(f"{printable(line)}\n" for line in lines) or "nothing is accepted\n"
