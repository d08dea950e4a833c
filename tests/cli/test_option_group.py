"""Options that reach a command as one record, and the agent's defaults."""

from typing import NamedTuple

import click
import pytest
from click.testing import CliRunner

from nvtopo.agent.parts.rdma import RdmaOptions
from nvtopo.cli import agent
from nvtopo.cli.agent_options import DriverOptions, LoopOptions, SinkOptions
from nvtopo.cli.option_group import option_group
from nvtopo.cli.page import PageOptions


class Colours(NamedTuple):
    front: str = "black"
    back: str = "white"


def test_options_of_a_group_are_one_record() -> None:
    given: list[tuple[Colours, int]] = []

    @click.command()
    @option_group("colours", Colours, click.option("--front", default="red"), click.option("--back", default="blue"))
    @click.option("--size", default=1)
    def command(colours: Colours, size: int) -> None:
        given.append((colours, size))

    assert CliRunner().invoke(command, ["--back", "green", "--size", "2"], catch_exceptions=False).exit_code == 0
    assert given == [(Colours("red", "green"), 2)]
    assert [parameter.name for parameter in command.params] == ["front", "back", "size"]


def test_agent_without_options_has_the_defaults_of_its_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POD_NAMESPACE", raising=False)
    context = agent.command.make_context("agent", [])
    expected = {
        field: value
        for record in (LoopOptions, SinkOptions, PageOptions, DriverOptions, RdmaOptions)
        for field, value in record()._asdict().items()
    }
    given = {name: value for name, value in context.params.items() if name in expected}
    assert given == expected
    assert set(context.params) - set(expected) == {"root", "nvml", "node_name", "lldp", "lldp_ports"}
