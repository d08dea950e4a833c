"""``--log-format`` and ``--log-level`` of the verbs that run on and log."""

from collections.abc import Mapping
from typing import Final

import click

_KEY: Final = "nvtopo.logs"

#: Verb → its level by default. What standalone does is on the screen anyway.
LEVELS: Final[Mapping[str, str]] = {
    "agent": "info",
    "aggregator": "info",
    "dra-driver": "info",
    "standalone": "warning",
}


def options(verb: str) -> list[click.Option]:
    """Both options."""
    return [
        click.Option(
            ["--log-format"],
            type=click.Choice(("auto", "text", "json")),
            default="auto",
            show_default=True,
            expose_value=False,
            callback=_keep,
            help="Lines of the log on standard error. auto: text on a terminal, JSON elsewhere.",
        ),
        click.Option(
            ["--log-level"],
            type=click.Choice(("debug", "info", "warning", "error")),
            default=LEVELS[verb],
            show_default=True,
            expose_value=False,
            callback=_keep,
            help="The lowest level that is logged.",
        ),
    ]


def begin() -> None:
    """Log as the running verb's options say."""
    from nvtopo import telemetry

    chosen: dict[str, str] = click.get_current_context().meta.get(_KEY, {})
    telemetry.log_to_stderr(chosen.get("log_level", "info").upper(), chosen.get("log_format", "auto"))


def _keep(context: click.Context, option: click.Parameter, value: str) -> None:
    context.meta.setdefault(_KEY, {})[option.name] = value
