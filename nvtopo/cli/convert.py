"""``nvtopo convert``: another tool's output about a node as labels, or as policy for the scheduler."""

from typing import TYPE_CHECKING

import click

from nvtopo.cli.machine import found_in, host_option
from nvtopo.cli.paths import FilePath

if TYPE_CHECKING:
    from nvtopo.model.conclusions.derive import Derived
    from nvtopo.model.records.node import NodeTopology

_HELP = """Convert FILE, `nvidia-smi topo -m` output or anything else that `dump --from` reads, for Kubernetes.

\b
  labels            the node's labels, as lines of an NFD feature file
  affinity          a pod's `affinity`: nodes at least as good as this one, pods of a job close together
  scheduler-config  a KubeSchedulerConfiguration with a profile `nvtopo` that adds this affinity and packs GPUs

The policy requires only what FILE states. '-' is standard input.
"""


@click.command("convert", help=_HELP)
@click.argument("file", type=FilePath(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--to",
    "--format",
    "target",
    type=click.Choice(("labels", "affinity", "scheduler-config")),
    default="labels",
    show_default=True,
    help="What to convert to.",
)
@host_option
@click.option("--json", "as_json", is_flag=True, help="Print policy as JSON instead of YAML.")
def command(file: str, target: str, host: str | None, as_json: bool) -> None:
    """Read FILE, derive labels, print the conversion."""
    from nvtopo.cli import input_notes
    from nvtopo.model.conclusions.derive import derive

    node = found_in(file, host).node
    input_notes.say_left_out(node, file)
    click.echo(_converted(node, derive(node), target, as_json=as_json), nl=False)


def _converted(node: "NodeTopology", derived: "Derived", target: str, *, as_json: bool) -> str:
    from nvtopo.model.conclusions.features import PREFIX, features

    labels = features(node, derived)
    if target == "labels":
        from nvtopo.sinks.publish import nfd

        return nfd.lines(labels)
    from nvtopo.sinks.document import scheduler_policy

    # An input may not show that its own node is ready; other nodes are better ready all the same.
    wanted = {f"{PREFIX}ready": "true"} | labels
    policy = (
        scheduler_policy.affinity(wanted) if target == "affinity" else scheduler_policy.scheduler_configuration(wanted)
    )
    if as_json:
        import json

        return json.dumps(policy, indent=2) + "\n"
    from nvtopo.model.formats import yaml

    return yaml.text_of(policy)
