"""Several aggregators, each of a cluster of its own: all are asked at once, and who does not answer keeps nobody."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from nvtopo.cli import cluster_source
from nvtopo.cli.cluster_source import ClusterSource
from nvtopo.errors import NvtopoError, ReadError, UsageError
from nvtopo.exporters import selection
from nvtopo.exporters.clusters_document import ClusterEntry, ClustersDocument
from nvtopo.exporters.document import GraphDocument
from nvtopo.exporters.selection import Selection
from nvtopo.model.formats.printable import printable

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
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
        if not _NAME.fullmatch(name) or not value:
            raise UsageError(f"{option}: expected NAME={what}, got {one!r}")
        if name in seen:
            raise UsageError(f"{option}: expected {name} once, got it twice")
        seen.add(name)
        yield name, value


def asked(clusters: Sequence[Cluster], wanted: Selection) -> ClustersDocument:
    """What all of them answer: of each the part that is wanted.

    Raises:
        ReadError: none answers, or none has such a part.
    """
    with ThreadPoolExecutor(min(_AT_ONCE, len(clusters))) as threads:
        answers = dict(zip(clusters, threads.map(_answer, clusters), strict=True))
    graphs = {one: answer for one, answer in answers.items() if isinstance(answer, GraphDocument)}
    if not graphs:
        raise ReadError("; ".join(f"{one.name}: {answer}" for one, answer in answers.items()))
    lacking = {one: reason for one, graph in graphs.items() if (reason := _lacks(graph, wanted)) is not None}
    if len(lacking) == len(graphs):
        raise ReadError("; ".join(f"{one.name}: {reason}" for one, reason in lacking.items()))
    return ClustersDocument(clusters={one.name: _entry(one, answer, wanted) for one, answer in answers.items()})


def _answer(one: Cluster) -> GraphDocument | str:
    """Its graph, or why there is none."""
    try:
        return cluster_source.document(ClusterSource(None, one.url, one.token_file, None))
    except UsageError:
        raise
    except NvtopoError as error:
        return str(error)


def _lacks(graph: GraphDocument, wanted: Selection) -> str | None:
    try:
        selection.resolved(graph, wanted)
    except ReadError as error:
        return str(error)
    return None


def _entry(one: Cluster, answer: GraphDocument | str, wanted: Selection) -> ClusterEntry:
    if isinstance(answer, str):
        return ClusterEntry(server=one.url, error=answer, graph=None)
    if _lacks(answer, wanted) is None:
        wanted = selection.resolved(answer, wanted)
    return ClusterEntry(server=one.url, error=None, graph=selection.of_document(answer, wanted))


def text(document: ClustersDocument, picture: Callable[[GraphDocument], str], style: Callable[[str, str], str]) -> str:
    """Each below its name; ``picture`` draws a graph."""
    return "\n".join(
        style(f"{name}  {printable(entry.server)}", "head")
        + "\n"
        + (
            style(f"not reached: {printable(entry.error or '')}", "trouble") + "\n"
            if entry.graph is None
            else picture(entry.graph)
        )
        for name, entry in document.clusters.items()
    )
