"""``nvtopo man [VERB]``: manual pages, made of the same commands and examples as ``--help``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from nvtopo import __version__
from nvtopo.cli.habits import verb_argument
from nvtopo.cli.paths import FilePath

_EXITS: Final = (
    ("0", "success"),
    ("1", "the answer is no"),
    ("2", "wrong usage"),
    ("3", "something can't be read or reached"),
    ("70", "a bug"),
)
_ENVIRONMENT: Final = "Each option can be given in the environment too, by the name next to it."


@click.command("man")
@verb_argument
@click.option(
    "--output",
    type=FilePath(file_okay=False, path_type=Path),
    help="Folder to write the pages of all verbs to, such as /usr/local/share/man/man1.",
)
@click.pass_context
def command(context: click.Context, verb: str | None, output: Path | None) -> None:
    """Print the manual page of VERB, or of nvtopo, for `man -l`; or write all."""
    above = context.parent
    assert above is not None
    assert isinstance(above.command, click.Group)
    if output is None:
        shown: click.Command = above.command
        name = ""
        if verb is not None:
            resolved, found, _ = above.command.resolve_command(above, [verb])
            assert found is not None
            shown, name = found, resolved or verb
        click.echo(page(shown, name), nl=False)
        return
    if verb is not None:
        raise click.UsageError("--output writes the pages of all verbs: expected no VERB")
    from nvtopo.sinks.publish.files import make_folder, replace_file

    make_folder(output)
    for file, text in pages(above.command).items():
        replace_file(output / file, text.encode())


def pages(group: click.Group) -> dict[str, str]:
    """File → page, of nvtopo and of each verb."""
    context = click.Context(group, info_name="nvtopo")
    found = {"nvtopo.1": page(group, "")}
    for verb in group.list_commands(context):
        shown = group.get_command(context, verb)
        assert shown is not None
        found[f"nvtopo-{verb}.1"] = page(shown, verb)
    return found


def page(command: click.Command, verb: str) -> str:
    """The page in roff. Without a date, so that equal commands give equal bytes."""
    title = f"nvtopo-{verb}" if verb else "nvtopo"
    context = click.Context(command, info_name=f"nvtopo {verb}".rstrip(), help_option_names=["-h", "--help"])
    lines = [
        f'.TH "{title.upper()}" "1" "" "nvtopo {__version__}" "nvtopo"',
        ".nh",
        ".ad l",
        ".SH NAME",
        _name(title, command),
    ]
    lines += [
        ".SH SYNOPSIS",
        f".B {_text(context.command_path)}",
        _text(" ".join(command.collect_usage_pieces(context))),
    ]
    lines += [".SH DESCRIPTION", *_description(command.help or "")]
    if isinstance(command, click.Group):
        lines += [".SH COMMANDS", *_verbs(command, context)]
    lines += [".SH OPTIONS", *_options(command, context)]
    if command.epilog:
        lines += [".SH EXAMPLES", ".nf", *map(_text, command.epilog.replace("\b\n", "").splitlines()[1:]), ".fi"]
    lines += [".SH ENVIRONMENT", _text(_ENVIRONMENT), ".SH EXIT STATUS"]
    for code, meaning in _EXITS:
        lines += [".TP", f".B {code}", _text(meaning)]
    if verb:
        lines += [".SH SEE ALSO", ".BR nvtopo (1)"]
    return "".join(f"{line}\n" for line in lines)


def _name(title: str, command: click.Command) -> str:
    return rf"{_text(title)} \- {_text(command.get_short_help_str(limit=200).rstrip('.'))}"


def _description(text: str) -> Iterator[str]:
    """Paragraphs; what click keeps as it stands, roff keeps too."""
    for paragraph in text.replace("\r", "").strip().split("\n\n"):
        if paragraph.startswith("\b\n"):
            yield from (".PP", ".nf", *map(_text, paragraph.splitlines()[1:]), ".fi")
        else:
            yield from (".PP", _text(" ".join(paragraph.split())))


def _verbs(group: click.Group, context: click.Context) -> Iterator[str]:
    for verb in group.list_commands(context):
        shown = group.get_command(context, verb)
        assert shown is not None
        yield from (".TP", rf".BR nvtopo\-{_text(verb)} (1)", _text(shown.get_short_help_str(limit=200)))


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None:
            continue
        yield from (".TP", f".B {_text(record[0])}", _text(" ".join(record[1].split())))
        names = [parameter.envvar] if isinstance(parameter.envvar, str) else list(parameter.envvar or ())
        if names:
            yield f"In the environment: {_text(' or '.join(names))}."


def _text(text: str) -> str:
    """A line that roff takes for text."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    escaped = "".join(one if one.isascii() else rf"\[u{ord(one):04X}]" for one in escaped)
    return rf"\&{escaped}" if escaped[:1] in {".", "'"} else escaped
