"""The command line: one module for each verb, imported only when that verb runs.

Exit codes: 0 success, 1 the answer is no, 2 wrong usage, 3 something can't be read or reached, 70 a bug.
"""

from importlib import import_module
from typing import Final

import click

from nvtopo import __version__

#: Verb → (module with a click command named ``command``, help line). The help lines are here so that ``--help``
#: imports no verb.
VERBS: Final = {
    "dump": ("nvtopo.cli.dump", "Show the topology of this node."),
    "capture": ("nvtopo.cli.capture", "Write this node's facts to a file."),
    "doctor": ("nvtopo.cli.doctor", "Say whether this node, or each of many, is ready."),
    "why": ("nvtopo.cli.why", "Explain why a node is not ready, a label is missing, or a pod does not fit."),
    "inventory": ("nvtopo.cli.inventory", "List the hardware of this node, or of many."),
    "bundle": ("nvtopo.cli.bundle", "Write what a maintainer needs into one file, with names replaced."),
    "diff": ("nvtopo.cli.diff", "Show what differs between two captures or resources."),
    "convert": ("nvtopo.cli.convert", "Convert `nvidia-smi topo -m` or similar output to labels or scheduler policy."),
    "agent": ("nvtopo.cli.agent", "Keep this node's labels, resource and metrics up to date."),
    "aggregator": ("nvtopo.cli.aggregator", "Build the graph of the cluster and serve it."),
    "dra-driver": ("nvtopo.cli.dra_driver", "Publish this node's GPUs and NICs for claims, as a kubelet plugin."),
    "graph": ("nvtopo.cli.graph", "Show the cluster's nodes rack by rack."),
    "accept": ("nvtopo.cli.accept", "Accept nodes as they are now."),
    "compare": ("nvtopo.cli.compare", "Compare canary nodes with the rest of the cluster."),
    "history": ("nvtopo.cli.history", "Show what changed on a node or in a rack."),
    "export": ("nvtopo.cli.export", "Write the cluster's topology as a scheduler reads it."),
    "place": ("nvtopo.cli.place", "Find the best GPUs for a gang."),
    "pods": ("nvtopo.cli.pods", "Show which GPUs and NICs each pod holds."),
    "release": ("nvtopo.cli.release", "Leave gangs that wait for a place to kube-scheduler."),
    "predicted": ("nvtopo.cli.predicted", "Compare what was predicted of placements with what was measured."),
    "simulate": ("nvtopo.cli.simulate", "Replay a trace of gangs on a cluster, and compare policies."),
    "nfd-hook": ("nvtopo.cli.nfd_hook", "Print this node's labels for NFD releases that run hooks."),
    "standalone": ("nvtopo.cli.standalone", "Run agent and aggregator in one process, without Kubernetes."),
    "completion": ("nvtopo.cli.completion", "Print the completion script for bash, zsh or fish."),
    "man": ("nvtopo.cli.man", "Print or write the manual pages."),
    "version": ("nvtopo.cli.version", "Print the version."),
    "help": ("nvtopo.cli.help", "Print the help of a verb."),
}


class Verbs(click.Group):
    """A group whose commands are modules."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """The verbs in the order of ``VERBS``."""
        return list(VERBS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module; None if there is no such verb."""
        if cmd_name not in VERBS:
            return None
        from nvtopo.cli.habits import shared

        command = import_module(VERBS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return shared(command, cmd_name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; an option of a verb that stands before it is refused with where it belongs."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.possibilities:
                raise
            ctx.fail(f"No such option '{error.option_name}'. Options of a command come after it: nvtopo dump -o tree")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; a verb that does not exist is refused with those that look like it."""
        typed = args[0]
        if typed not in VERBS and not typed.startswith("-"):
            from nvtopo.model.formats.near import hint

            ctx.fail(f"No such command '{typed}'{hint(typed, VERBS) or '.'}")
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and command is not None and not ctx.resilient_parsing:
            from nvtopo.cli.habits import warn_of_variables

            warn_of_variables(command, name, VERBS)
        return name, command, rest

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])


_HELP: Final = """Show how the GPUs, NICs and links of a node are connected, and how the nodes of a cluster are.

Each option can be given in the environment too: NVTOPO_DUMP_FORMAT=tree is `nvtopo dump --format tree`.
"""


@click.group(cls=Verbs, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="nvtopo")
def main() -> None:
    """The options of nvtopo itself."""
