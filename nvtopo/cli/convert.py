"""``nvtopo convert``: from what another tool wrote about a node to labels and policy for the scheduler."""

from typing import TYPE_CHECKING

import click

from nvtopo.cli.machine import found_in

if TYPE_CHECKING:
    from nvtopo.model.derive import Derived
    from nvtopo.model.node import NodeTopology

_HELP = """Turn FILE, an `nvidia-smi topo -m` text or anything else that `dump --from` reads, into words of Kubernetes.

\b
  labels            the node labels that follow from it, as lines of an NFD feature file
  affinity          a pod's `affinity`: nodes at least as good as that one, members of a job near each other
  scheduler-config  a KubeSchedulerConfiguration with a profile `nvtopo` that asks it of every pod and packs GPUs

What FILE does not say is not asked for. '-' is standard input.
"""


@click.command("convert", help=_HELP)
@click.argument("file", type=click.Path(exists=False, dir_okay=False, allow_dash=True))
@click.option(
    "--to",
    "target",
    type=click.Choice(("labels", "affinity", "scheduler-config")),
    default="labels",
    show_default=True,
    help="What to print.",
)
@click.option("--json", "as_json", is_flag=True, help="Policy as JSON instead of YAML.")
def command(file: str, target: str, as_json: bool) -> None:
    """Read, derive, print."""
    from nvtopo.model.derive import derive

    node = found_in(file).node
    click.echo(_converted(node, derive(node), target, as_json=as_json), nl=False)


def _converted(node: "NodeTopology", derived: "Derived", target: str, *, as_json: bool) -> str:
    from nvtopo.model.features import features

    labels = features(node, derived)
    if target == "labels":
        from nvtopo.sinks import nfd

        return nfd.lines(labels)
    from nvtopo.sinks import scheduler_policy

    policy = (
        scheduler_policy.affinity(labels) if target == "affinity" else scheduler_policy.scheduler_configuration(labels)
    )
    if as_json:
        import json

        return json.dumps(policy, indent=2) + "\n"
    from nvtopo.sinks import yaml

    return yaml.text_of(policy)
