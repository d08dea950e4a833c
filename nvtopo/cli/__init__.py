"""The command line: one module for each verb, imported when the verb is asked for.

Exit codes: 0 fine, 1 the answer is no, 2 wrong usage, 3 cannot read or reach, 70 a bug.
"""

from importlib import import_module
from typing import Final

import click

from nvtopo import __version__

#: Verb → (module with a click command named ``command``, help line). The line stands here so that ``--help`` imports
#: nothing else.
VERBS: Final = {
    "dump": ("nvtopo.cli.dump", "Show the topology of this node."),
    "capture": ("nvtopo.cli.capture", "Write this node's facts to a file."),
    "diff": ("nvtopo.cli.diff", "Say what differs between two captures or resources."),
    "convert": ("nvtopo.cli.convert", "Turn `nvidia-smi topo -m` and the like into labels or scheduler policy."),
    "agent": ("nvtopo.cli.agent", "Keep this node's labels, resource and metrics true."),
    "aggregator": ("nvtopo.cli.aggregator", "Assemble the cluster's graph and serve it."),
    "graph": ("nvtopo.cli.graph", "Show the rack graph."),
    "nfd-hook": ("nvtopo.cli.nfd_hook", "Print features for NFD releases that still run hooks."),
    "standalone": ("nvtopo.cli.standalone", "Agent and aggregator in one process, without Kubernetes."),
}


class Verbs(click.Group):
    """A group whose commands are modules."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """The verbs in the order of ``VERBS``."""
        return list(VERBS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module; None where there is no such verb."""
        if cmd_name not in VERBS:
            return None
        command = import_module(VERBS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of verbs, from the table and without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nvtopo")
def main() -> None:
    """What the GPUs, NICs and links of this node, and of the cluster, really are."""
