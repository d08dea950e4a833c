"""Options that name objects of Kubernetes: what it would refuse is refused before anything is read or written."""

import click
import pytest

from nvtopo import cli
from nvtopo.cli.object_names import ObjectName
from nvtopo.model.formats import object_name

NAMED = [
    (verb, option)
    for verb in cli.VERBS
    for command in [cli.main.get_command(click.Context(cli.main), verb)]
    if command is not None
    for option in command.params
    if {"--name", "--namespace", "--node-feature-namespace", "--admission-policy"} & {*option.opts}
]


@pytest.mark.parametrize(("verb", "option"), NAMED, ids=[f"{verb} {option.name}" for verb, option in NAMED])
@pytest.mark.parametrize("value", ["BAD NAME", "", "-a", "a_b", "a" * 254, "ä", "a\n", "../x"])
def test_what_is_no_name_is_wrong_usage(verb: str, option: click.Option, value: str) -> None:
    command = cli.main.get_command(click.Context(cli.main), verb)
    assert command is not None
    assert isinstance(option.type, ObjectName)
    with pytest.raises(click.BadParameter, match="expected small letters, digits"):
        command.make_context(verb, [max(option.opts, key=len), value], resilient_parsing=False)


def test_each_verb_that_writes_objects_is_here() -> None:
    assert {verb for verb, _ in NAMED} == {"accept", "agent", "aggregator", "export", "release"}


@pytest.mark.parametrize(
    ("text", "label", "subdomain"),
    [
        ("nvtopo", True, True),
        ("9", True, True),
        ("a.b-c.d", False, True),
        ("a..b", False, False),
        ("a.", False, False),
        ("a" * 63, True, True),
        ("a" * 64, False, True),
        ("a" * 253, False, True),
    ],
)
def test_labels_and_subdomains(text: str, *, label: bool, subdomain: bool) -> None:
    assert (object_name.is_label(text), object_name.is_subdomain(text)) == (label, subdomain)
