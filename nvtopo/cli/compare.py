"""``nvtopo compare``: canary nodes against the rest, before a rollout of a driver or firmware goes on."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nvtopo.cli import cluster_source
from nvtopo.cli.cluster_source import ClusterSource
from nvtopo.cli.common_options import text_or_json_option
from nvtopo.cli.paths import FilePath
from nvtopo.errors import UsageError
from nvtopo.model.formats.near import hint

if TYPE_CHECKING:
    from nvtopo.cluster.canaries import Comparison, Difference

_LOST = 1
_SHOWN = 8


@click.command("compare")
@cluster_source.options
@click.option("--selector", metavar="LABELS", help="The canary nodes, by labels of their Node objects: canary=true.")
@click.option(
    "--labels",
    type=FilePath(exists=True, dir_okay=False, path_type=Path),
    help="File with the Node objects for --selector, from `kubectl get nodes -o json`. By default the API server's.",
)
@click.option("--nodes", metavar="A,B", help="The canary nodes, by name.")
@click.option("--against", metavar="C,D", help="The nodes to compare them with.  [default: all others]")
@text_or_json_option
def command(  # noqa: PLR0913, PLR0917 - one parameter for each option
    source: ClusterSource, selector: str | None, labels: Path | None, nodes: str | None, against: str | None, form: str
) -> None:
    """Compare canary nodes with the other nodes of their shape: versions, links, rates, MTUs, counts.

    Exits 1 if the canary nodes have less than the others, or something works on fewer of them. Other versions
    are shown, but do not count.
    """
    source = source.checked("compare")
    if source.server:
        raise UsageError("compare: --server gives no facts of nodes; use --kubeconfig or --from")
    if (selector is None) == (nodes is None):
        raise UsageError("compare: expected --selector or --nodes, one of them")
    if labels is not None and selector is None:
        raise UsageError("compare: --labels needs --selector")
    from nvtopo.cluster.canaries import compare

    graph = cluster_source.graph(source)
    known = {name: node for name, node in graph.nodes.items() if node.in_store}
    canary = _listed("--nodes", nodes, known) if nodes is not None else _selected(source, selector or "", labels, known)
    rest = _listed("--against", against, known) if against is not None else known.keys() - set(canary)
    both = sorted(set(canary) & set(rest))
    if both:
        raise UsageError(f"compare: expected each node on one side, got {', '.join(both[:_SHOWN])} on both")
    if not canary or not rest:
        raise UsageError(f"compare: expected nodes on both sides, got {len(canary)} canary and {len(rest)} others")
    found = compare(known, canary, rest)
    click.echo(_json(found) if form == "json" else _text(found), nl=False)
    if found.lost:
        click.get_current_context().exit(_LOST)


def _listed(option: str, names: str | None, known: Collection[str]) -> list[str]:
    """The nodes of a list; each must be known."""
    listed = sorted({name.strip() for name in (names or "").split(",") if name.strip()})
    unknown = [name for name in listed if name not in known]
    if unknown:
        near = hint(unknown[0], known)
        raise UsageError(f"{option}: expected nodes of the cluster, got {', '.join(unknown[:_SHOWN])}{near}")
    return listed


def _selected(source: ClusterSource, selector: str, labels: Path | None, known: Collection[str]) -> list[str]:
    """The nodes that the selector matches and that have a NodeTopology."""
    from nvtopo.cli import node_labels

    wanted = node_labels.parse(selector)
    if labels is not None:
        by_node = node_labels.of_file(labels)
    elif source.directory is not None:
        raise UsageError("compare: --selector with --from needs --labels, from `kubectl get nodes -o json`")
    else:
        by_node = node_labels.of_cluster(source.kubeconfig)
    return [name for name in sorted(known) if node_labels.matches(by_node.get(name, {}), wanted)]


def _json(found: "Comparison") -> str:
    import msgspec

    from nvtopo.model.changes import words

    entries = [
        {**msgspec.to_builtins(one), "fact": words.fact(one.change), "text": _line(one)} for one in found.differences
    ]
    document = {**msgspec.to_builtins(found), "differences": entries, "lost": found.lost}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _text(found: "Comparison") -> str:
    from nvtopo.model.formats.printable import printable

    lines = [_line(one) for one in found.differences]
    lines += [f"{name}: not compared, {reason}" for name, reason in found.not_compared.items()]
    compared = len(found.canary) - len(found.not_compared)
    end = "" if found.differences else ": nothing differs"
    lines.append(f"compared {_nodes(compared, 'canary node')} with {_nodes(len(found.rest), 'other node')}{end}")
    return "".join(f"{printable(line)}\n" for line in lines)


def _line(one: "Difference") -> str:
    """``loss: GPU0, GPU1: NVLinks 18 → 17 on 2 of 2 canary nodes (a, b), 0 of 6 others``."""
    from nvtopo.model.changes import words

    before, after = _sides(one)
    fact = words.fact(one.change)
    return (
        f"{'loss: ' if one.loss else ''}{_some(one.subjects)}: {fact} {before} → {after} on {len(one.nodes)} of "
        f"{_nodes(one.canaries, 'canary node')} ({_some(one.nodes)}), {one.others_alike} of {one.others} others"
    )


def _sides(one: "Difference") -> tuple[str, str]:
    from msgspec.structs import replace

    from nvtopo.model.changes import words

    several = one.before if isinstance(one.before, list) else [one.before]
    said = [words.sides(replace(one.change, before=value)) for value in several]
    return " or ".join(before for before, _ in said), said[0][1]


def _some(names: Iterable[str]) -> str:
    from nvtopo.model.formats.listing import listed

    return listed(list(names), _SHOWN)


def _nodes(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
