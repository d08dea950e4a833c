"""Terminal colours: the matrix by distance between two devices; what is wrong, tree and racks by health."""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

_LOOKS: dict[str, dict[str, Any]] = {
    "ok": {"fg": "green"},
    "warn": {"fg": "yellow"},
    "bad": {"fg": "red"},
    "trouble": {"fg": "yellow"},
    "degraded": {"fg": "yellow"},
    "registering": {"fg": "cyan"},
    "fault": {"fg": "red", "bold": True},
    "unknown": {"fg": "magenta"},
    "head": {"bold": True},
    "quiet": {"dim": True},
    "stale": {"dim": True},
    # cells of the matrix
    "NV": {"fg": "green"},
    "NV, links missing": {"fg": "yellow", "bold": True},
    "PIX": {"fg": "green"},
    "PXB": {"fg": "cyan"},
    "PHB": {"fg": "yellow"},
    "NODE": {"fg": "yellow"},
    "SYS": {"fg": "red"},
    "?": {"fg": "magenta"},
}


def wanted() -> bool:
    """Whether what is printed has colours: as ``--color`` decided, otherwise as the environment says."""
    context = click.get_current_context(silent=True)
    if context is not None and context.color is not None:
        return context.color
    return decided("auto", os.environ)


def decided(mode: str, environment: Mapping[str, str]) -> bool:
    """``always``, ``never``, or ``auto``: NO_COLOR, then FORCE_COLOR, then whether standard output is a terminal.

    https://no-color.org and https://force-color.org: set to anything but an empty text.
    """
    if mode != "auto":
        return mode == "always"
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and environment.get("TERM") != "dumb"


def painter() -> Callable[[str, str], str]:
    """``style`` for many pieces: whether there are colours is asked once."""
    return _painted if wanted() else _plain


def style(text: str, look: str) -> str:
    """Colour a piece of matrix, tree, racks or a heading; plain for a pipe, or if the look has no colour."""
    return painter()(text, look)


def _painted(text: str, look: str) -> str:
    return click.style(text, **_LOOKS[look]) if look in _LOOKS else text


def _plain(text: str, _look: str) -> str:
    return text
