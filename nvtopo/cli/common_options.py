"""Options that several verbs have alike."""

from pathlib import Path

import click

from nvtopo.cli.paths import FilePath

kubeconfig_option = click.option(
    "--kubeconfig",
    type=FilePath(dir_okay=False, path_type=Path),
    help="Kubeconfig file. By default the pod's service account; outside a pod, $KUBECONFIG.",
)

text_or_json_option = click.option(
    "--format", "form", type=click.Choice(("text", "json")), default="text", show_default=True, help="Output format."
)
