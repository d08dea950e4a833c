"""Colours of the matrix on a terminal: how near two devices are."""

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


def matrix_style(*, terminal: bool) -> matrix.Style:
    """Colours for a terminal, plain text for a pipe."""
    return _coloured if terminal else matrix.plain


def _coloured(padded: str, bare: str) -> str:
    colour = _COLOURS.get(bare.rstrip("0123456789"))
    return click.style(padded, fg=colour) if colour else padded
