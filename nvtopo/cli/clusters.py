"""Several aggregators, each of a cluster of its own: all are asked at once, and who does not answer keeps nobody."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from nvtopo.cli import cluster_source
from nvtopo.cli.cluster_source import Dated
from nvtopo.errors import NvtopoError, ReadError, UsageError
from nvtopo.exporters import selection
from nvtopo.exporters.clusters_document import ClusterEntry, ClustersDocument
from nvtopo.exporters.document import GraphDocument
from nvtopo.exporters.selection import Selection
from nvtopo.model.formats.cluster_name import is_name
from nvtopo.model.formats.elapsed import elapsed
from nvtopo.model.formats.printable import printable

_MOST: Final = 64
_AT_ONCE: Final = 16


class Cluster(NamedTuple):
    """An aggregator and what its cluster is called."""

    name: str
    url: str
    token_file: Path | None


def named(servers: Sequence[str], tokens: Sequence[str]) -> tuple[Cluster, ...]:
    """The clusters of ``NAME=URL`` and ``NAME=FILE``: each token goes to one server alone.

    Raises:
        UsageError: they are not of this form, or a token is for none of them.
    """
    urls, files = dict(_pairs("--cluster", "URL", servers)), dict(_pairs("--cluster-token", "FILE", tokens))
    for name in files:
        if name not in urls:
            raise UsageError(f"--cluster-token {name}: expected the name of a --cluster")
    if len(urls) > _MOST:
        raise UsageError(f"--cluster: expected at most {_MOST}, got {len(urls)}")
    return tuple(Cluster(name, url, Path(files[name]) if name in files else None) for name, url in urls.items())


def _pairs(option: str, what: str, given: Iterable[str]) -> Iterator[tuple[str, str]]:
    seen = set[str]()
    for one in given:
        name, _, value = one.partition("=")
        if not is_name(name) or not value:
            raise UsageError(f"{option}: expected NAME={what}, got {one!r}")
        if name in seen:
            raise UsageError(f"{option}: expected {name} once, got it twice")
        seen.add(name)
        yield name, value


def asked(clusters: Sequence[Cluster], wanted: Selection) -> ClustersDocument:
    """What all of them answer: of each the part that is wanted.

    Raises:
        ReadError: none answers.
        UsageError: none has such a part.
    """
    with ThreadPoolExecutor(min(_AT_ONCE, len(clusters))) as threads:
        answers = dict(zip(clusters, threads.map(_answer, clusters), strict=True))
    graphs = {one: answer.graph for one, answer in answers.items() if isinstance(answer, Dated)}
    if not graphs:
        raise ReadError("; ".join(f"{one.name}: {answer}" for one, answer in answers.items()))
    lacking = {one: reason for one, graph in graphs.items() if (reason := _lacks(graph, wanted)) is not None}
    if len(lacking) == len(graphs):
        raise UsageError("; ".join(f"{one.name}: {reason}" for one, reason in lacking.items()))
    return ClustersDocument(clusters={one.name: _entry(one, answer, wanted) for one, answer in answers.items()})


def _answer(one: Cluster) -> Dated | str:
    """Its graph, or why there is none."""
    try:
        return cluster_source.fetched(one.url, cluster_source.token(one.token_file))
    except UsageError:
        raise
    except NvtopoError as error:
        return str(error)


def _lacks(graph: GraphDocument, wanted: Selection) -> str | None:
    try:
        selection.resolved(graph, wanted)
    except UsageError as error:
        return str(error)
    return None


def _entry(one: Cluster, answer: Dated | str, wanted: Selection) -> ClusterEntry:
    if isinstance(answer, str):
        return ClusterEntry(server=one.url, error=answer, graph=None, stale=True, age_seconds=None)
    graph, age = answer
    if _lacks(graph, wanted) is None:
        wanted = selection.resolved(graph, wanted)
    part = selection.of_document(graph, wanted)
    return ClusterEntry(server=one.url, error=None, graph=part, stale=age > 0, age_seconds=age)


def text(document: ClustersDocument, picture: Callable[[GraphDocument], str], style: Callable[[str, str], str]) -> str:
    """Each below its name; ``picture`` draws a graph."""
    return "\n".join(
        style(f"{name}  {printable(entry.server)}", "head")
        + "\n"
        + "".join(style(printable(said), "trouble") + "\n" for said in _notes(name, entry))
        + ("" if entry.graph is None else picture(entry.graph))
        for name, entry in document.clusters.items()
    )


def _notes(name: str, entry: ClusterEntry) -> Iterator[str]:
    """What keeps its graph from being true, or this cluster's."""
    if entry.graph is None:
        yield f"not reached: {entry.error or ''}"
        return
    if entry.age_seconds:
        yield f"stale: its API server has not answered for {elapsed(entry.age_seconds)}"
    if entry.graph.cluster not in {None, name}:
        yield f"its aggregator calls itself {entry.graph.cluster}"
