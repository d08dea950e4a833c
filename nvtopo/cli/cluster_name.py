"""The option with which the operator names the cluster."""

import click

from nvtopo.errors import UsageError
from nvtopo.model.formats.cluster_name import is_name


def _checked(_context: click.Context, _parameter: click.Parameter, text: str) -> str | None:
    """None without a name: nobody's cluster is called "default"."""
    if text and not is_name(text):
        raise UsageError(f"--cluster-name: expected letters, digits, '.', '-' and '_', at most 63, got {text!r}")
    return text or None


cluster_name_option = click.option(
    "--cluster-name",
    envvar="NVTOPO_CLUSTER_NAME",
    default="",
    callback=_checked,
    help="What the cluster is called in graph, page and metrics.  [default: it has no name]",
)
