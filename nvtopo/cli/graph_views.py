"""What ``nvtopo graph`` prints: the whole as racks, a table or JSON, and what changed."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import sleep

import click

from nvtopo.cli import cluster_source, clusters, following
from nvtopo.cli.colour import style
from nvtopo.exporters import change_records, clusters_document, racks, selection, tables
from nvtopo.exporters.change_records import GraphChange
from nvtopo.exporters.document import GraphDocument, encode, pretty
from nvtopo.exporters.selection import Selection

#: Between two pictures on a terminal.
_PAUSE_SECONDS = 0.2
_HOME_AND_CLEAR = "\x1b[H\x1b[2J"


def once(document: GraphDocument, form: str, wanted: Selection) -> None:
    """Print a part of the graph.

    Raises:
        ReadError: the graph has no such part.
    """
    part = selection.of_document(document, selection.resolved(document, wanted))
    click.echo(pretty(part) if form == "json" else _picture(part, form, wanted), nl=False)


def several(servers: Sequence[str], tokens: Sequence[str], form: str, wanted: Selection) -> None:
    """Print a part of the graph of each cluster, as ``NAME=URL`` and ``NAME=FILE``.

    Raises:
        NvtopoError: they are not of this form, none answers, or none has such a part.
    """
    document = clusters.asked(clusters.named(servers, tokens), wanted)
    text = (
        clusters_document.pretty(document)
        if form == "json"
        else clusters.text(document, partial(_picture, form=form, wanted=wanted), style)
    )
    click.echo(text, nl=False)


def watch(server: str, token_file: Path | None, form: str, wanted: Selection) -> None:
    """Print a part of an aggregator's graph, and again whenever it changes: all on a terminal, else what changed.

    Raises:
        NvtopoError: the graph has no such part at first, or the aggregator does not answer, or refuses.
    """
    url = f"{server.rstrip('/')}/v1/graph/watch"
    latest = following.latest(url, lambda: cluster_source.token(token_file), _lost)
    whole = latest.take()
    wanted = selection.resolved(whole, wanted)
    shown = selection.of_document(whole, wanted)
    redraws = form != "json" and sys.stdout.isatty()
    _print(
        encode(shown).decode("utf-8", "replace") + "\n" if form == "json" else _picture(shown, form, wanted),
        clear=redraws,
    )
    while True:
        part = selection.of_document(latest.take(), wanted)
        change = change_records.between(shown, part)
        if not change.empty:
            shown = part
            _print(_picture(part, form, wanted) if redraws else _told(change, form), clear=redraws)
        if redraws:
            sleep(_PAUSE_SECONDS)


def _picture(part: GraphDocument, form: str, wanted: Selection) -> str:
    if form == "racks":
        return racks.render(part, style)
    if wanted.drift:
        return tables.drift(part)
    return tables.domains(part) if wanted.tier else tables.nodes(part)


def _told(change: GraphChange, form: str) -> str:
    return change_records.encode(change).decode("utf-8", "replace") + "\n" if form == "json" else tables.changed(change)


def _print(text: str, *, clear: bool) -> None:
    click.echo((_HOME_AND_CLEAR if clear else "") + text, nl=False)
    sys.stdout.flush()


def _lost(reason: str) -> None:
    click.echo(f"nvtopo: {reason}; trying again", err=True)
