"""What all verbs have alike: ``-o`` for ``--format``, choices in any case, options from the environment, examples."""

import os
from collections.abc import Collection
from typing import Any, Final

import click

from nvtopo.cli import colour

#: Verbs that colour what they print.
COLOURED: Final = frozenset({"dump", "doctor", "why", "graph", "standalone"})

#: Verbs that run on and log.
LOGGED: Final = frozenset({"agent", "aggregator", "dra-driver", "standalone"})

#: Verb → what people type, with what it is for. Fixtures of the project stand for files of the reader.
EXAMPLES: Final = {
    "dump": (
        ("nvtopo dump", "this node's matrix"),
        ("nvtopo dump -o tree --from machine.json", "the PCIe tree of a capture"),
        ("nvtopo dump --from captures/", "a table of all nodes of a folder"),
        ("nvtopo dump --output topology.svg", "a picture, also .png and .pdf: the file's name chooses"),
        ("nvidia-smi topo -m | nvtopo dump --from -", "another tool's output, read again"),
    ),
    "capture": (
        ("nvtopo capture machine.json", "all facts of this node, for a bug report"),
        ("nvtopo capture - | gzip > machine.json.gz", "the same to standard output"),
    ),
    "bundle": (
        ("nvtopo bundle node.tar.gz", "this node, for a bug report"),
        ("nvtopo bundle rack.tar.gz NODE --kubeconfig config", "a node of a cluster, with the graph"),
    ),
    "inventory": (
        ("nvtopo inventory --format csv", "this node's parts, for a CMDB"),
        ("nvtopo inventory --from captures/ --format cyclonedx", "each node of a folder"),
    ),
    "predicted": (
        ("nvtopo predicted answer.json --measured all_reduce_perf.txt", "is the gang as fast as it should be?"),
    ),
    "simulate": (("nvtopo simulate --trace gangs.csv --racks 16", "how long gangs wait, by policy"),),
    "doctor": (
        ("nvtopo doctor", "is this node ready for jobs?"),
        ("nvtopo doctor --from captures/", "each node of a folder"),
    ),
    "why": (
        ("nvtopo why NODE", "why is it not ready, and which labels do not arrive?"),
        ("nvtopo why NODE --label nvlink.domain", "where does this label stop?"),
        ("kubectl get pod POD -o json | nvtopo why NODE --pod -", "why does this pod not fit there?"),
        ("nvtopo why", "this machine and its feature file"),
    ),
    "diff": (
        ("nvtopo diff before.json after.json", "what changed between two captures"),
        ("kubectl get ntopo node-1 -o json | nvtopo diff machine.json -", "a capture against the cluster"),
    ),
    "convert": (
        ("nvidia-smi topo -m | nvtopo convert -", "labels"),
        ("nvtopo convert machine.json -o affinity", "a pod's affinity to such nodes"),
    ),
    "agent": (
        ("nvtopo agent --once --no-resource --features-dir .", "write the labels once and exit"),
        ("nvtopo agent --no-resource --no-features --listen 0.0.0.0:9745", "metrics only"),
    ),
    "aggregator": (("nvtopo aggregator --kubeconfig config", "on a laptop, with the cluster's kubeconfig"),),
    "dra-driver": (
        ("nvtopo dra-driver", "on a node, as root"),
        ("nvtopo dra-driver --remove --kubeconfig config", "after it is uninstalled"),
    ),
    "graph": (
        ("nvtopo graph", "from the API server"),
        ("nvtopo graph --from captures/", "from a folder of captures"),
        ("nvtopo graph --server http://127.0.0.1:8080 -o json", "from an aggregator, as JSON"),
        ("nvtopo graph --cluster east=http://127.0.0.1:8080 --cluster west=http://127.0.0.1:8081", "two clusters"),
    ),
    "accept": (("nvtopo accept NODE --until 7d --reason TEXT", "what is observed is expected, for a week"),),
    "history": (("nvtopo history NODE --server http://127.0.0.1:8080", "what changed on a node"),),
    "compare": (("nvtopo compare --selector canary=true", "canary nodes against the others"),),
    "export": (
        ("nvtopo export slurm-tree --output topology.conf", "Slurm's topology.conf"),
        ("nvtopo export kueue --from captures/", "Kueue's topology, from a folder of captures"),
    ),
    "place": (("nvtopo place --request request.yaml", "the best GPUs for a gang"),),
    "pods": (("nvtopo pods", "of all nodes"), ("nvtopo pods node-1 -o json", "of one, for programs")),
    "release": (
        ("nvtopo release train-7 -n team", "lift the gates of one gang"),
        ("nvtopo release --all", "before nvtopo is uninstalled"),
    ),
    "nfd-hook": (("nvtopo nfd-hook", "this node's labels"),),
    "standalone": (
        ("nvtopo standalone", "this machine, with page and metrics"),
        ("nvtopo standalone --fleet captures/ --oneshot", "with recorded nodes; print and exit"),
    ),
    "completion": (
        ("nvtopo completion bash --install", "once"),
        ('eval "$(nvtopo completion bash)"', "or in ~/.bashrc"),
    ),
    "man": (
        ("nvtopo man dump | man -l -", "the page of a verb"),
        ("nvtopo man --output ~/.local/share/man/man1", "all pages, for man nvtopo-dump"),
    ),
}

PREFIX: Final = "NVTOPO_"
"""Of the environment's variables that are options."""
#: Columns of a help text beside its margin.
_WIDTH: Final = 76


def _verbs(_context: click.Context, _argument: click.Parameter, incomplete: str) -> list[str]:
    from nvtopo.cli import VERBS

    return [verb for verb in VERBS if verb.startswith(incomplete)]


verb_argument: Final = click.argument("verb", required=False, shell_complete=_verbs)
"""A verb, for the verbs that are about others."""


class Choices(click.Choice):  # type: ignore[type-arg]  # generic since click 8.2
    """As click's, and a word that is nearly one of them is answered with that one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The choice as it is spelt here."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            from nvtopo.model.formats.near import hint

            self.fail(error.message.removesuffix(".") + (hint(str(value), self.choices) or "."), param, ctx)


def shared(command: click.Command, verb: str) -> click.Command:
    """The command with what all verbs have."""
    if verb in COLOURED and not any(option.name == "color" for option in command.params):
        command.params.append(_color())
    if verb in LOGGED and not any(option.name == "log_format" for option in command.params):
        from nvtopo.cli import logs

        command.params += logs.options(verb)
    for option in command.params:
        if isinstance(option.type, click.Choice):
            option.type = Choices(option.type.choices, case_sensitive=False)
        if isinstance(option.type, click.FloatRange):
            option.type.name = "number"
        if isinstance(option.type, click.IntRange):
            option.type.name = "integer"
        if isinstance(option, click.Option):
            _share(option, verb)
    if verb in EXAMPLES and command.epilog is None:
        command.epilog = _epilog(EXAMPLES[verb])
    return command


def environment_of(option: click.Option, verb: str) -> str:
    """The variable that gives this option: ``NVTOPO_DUMP_FORMAT``."""
    longest = max(option.opts, key=len)
    return f"{PREFIX}{verb}_{longest.lstrip('-')}".replace("-", "_").upper()


def warn_of_variables(command: click.Command, verb: str, verbs: Collection[str]) -> None:
    """Say on standard error which variables look like options of the verb and are none."""
    if not any(name.upper().startswith(PREFIX) for name in os.environ):
        return
    from nvtopo.cli.variables import misspelt
    from nvtopo.model.formats.printable import printable

    known = {name for option in command.params for name in option.envvar or ()}
    for line in misspelt(os.environ, verb, verbs, known):
        click.echo(f"nvtopo: {printable(line)}", err=True)


def _share(option: click.Option, verb: str) -> None:
    if "--format" in option.opts and "-o" not in option.opts:
        option.opts.insert(0, "-o")
    name = environment_of(option, verb)
    own = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
    if name not in own:
        option.envvar = [*own, name]


def _color() -> click.Option:
    return click.Option(
        ["--color"],
        type=click.Choice(("auto", "always", "never")),
        default="auto",
        show_default=True,
        expose_value=False,
        callback=_decide,
        help="Colours. auto: on a terminal; NO_COLOR, FORCE_COLOR and TERM=dumb are respected.",
    )


def _decide(context: click.Context, _option: click.Parameter, mode: str) -> None:
    context.color = colour.decided(mode, os.environ)


def _epilog(examples: tuple[tuple[str, str], ...]) -> str:
    widest = max(len(line) for line, _ in examples)
    if widest + len("  #   ") + max(len(what) for _, what in examples) > _WIDTH:
        lines = [text for line, what in examples for text in (f"  # {what}", f"  {line}")]
    else:
        lines = [f"  {line.ljust(widest)}  # {what}" for line, what in examples]
    return "\b\nExamples:\n" + "\n".join(lines)
