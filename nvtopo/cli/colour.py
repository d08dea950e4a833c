"""Colours on a terminal: of the matrix by how near two devices are, of the tree by how well they are."""

import click

from nvtopo.sinks import matrix

_COLOURS = {
    "NV": "green",
    "PIX": "green",
    "PXB": "cyan",
    "PHB": "yellow",
    "NODE": "yellow",
    "SYS": "red",
    "?": "magenta",
}


_MOODS = {"ok": "green", "warn": "yellow", "quiet": "bright_black"}


def matrix_style(*, terminal: bool) -> matrix.Style:
    """Colours for a terminal, plain text for a pipe."""
    return _coloured if terminal else matrix.plain


def _coloured(padded: str, bare: str) -> str:
    colour = _COLOURS.get(bare.rstrip("0123456789"))
    return click.style(padded, fg=colour) if colour else padded


def tree_style(text: str, mood: str) -> str:
    """The tree's colours, for a terminal."""
    colour = _MOODS.get(mood)
    return click.style(text, fg=colour) if colour else text
