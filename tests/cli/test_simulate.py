"""``nvtopo simulate``: a table, JSON, a plot; wrong input in one line."""

import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from nvtopo.cli import main
from nvtopo.cli.simulate import _POLICIES
from nvtopo.errors import NvtopoError
from nvtopo.placement.policies import POLICIES
from nvtopo.reports.simulation import Figures

ROOT = Path(__file__).resolve().parents[2]
TRACE = "arrival,pods,gpus_per_pod,duration\n0,2,4,10\n1,2,4,10\n2,4,4,10\n"
SMALL = ("simulate", "--trace", "-", "--racks", "2", "--trays", "3")


def test_the_policies_of_the_command_line_are_those_there_are() -> None:
    assert set(_POLICIES) == set(POLICIES)


def test_json_by_hand() -> None:
    """Two racks of 3 trays: the third gang needs 4 of 6 trays, so it waits from 2 to 10 for one of them."""
    result = CliRunner().invoke(main, [*SMALL, "--policy", "ours", "-o", "JSON"], input=TRACE)
    (found,) = msgspec.json.decode(result.stdout, type=tuple[Figures, ...])
    assert (found.policy, found.gangs, found.impossible, found.restarts) == ("ours", 3, 0, 0)
    assert found.wait_mean_seconds == pytest.approx(8 / 3)
    assert found.wait_p95_seconds == 8
    assert found.cross_domain == 0
    assert found.end_seconds == 20


@pytest.mark.slow
def test_the_same_command_prints_the_same_and_the_seed_matters() -> None:
    trace = "arrival,gpus,duration\n" + "".join(f"{at},{1 + at % 9},{at % 13}\n" for at in range(60))
    arguments = [*SMALL, "--across", "--fail-every-hours", "0.01", "--repair-hours", "0.001"]
    first, again, other = (
        CliRunner().invoke(main, [*arguments, "--seed", seed], input=trace).stdout for seed in ("1", "1", "2")
    )
    assert first == again != other
    assert [line.split()[0] for line in first.splitlines()] == ["POLICY", *_POLICIES]


def test_a_plot(tmp_path: Path) -> None:
    file = tmp_path / "plot.svg"
    assert CliRunner().invoke(main, [*SMALL, "--svg", str(file)], input=TRACE).exit_code == 0
    words = " ".join(ET.fromstring(file.read_text(encoding="utf-8")).itertext())  # noqa: S314 - our own
    assert all(policy in words for policy in _POLICIES)


def test_on_a_captured_rack() -> None:
    rack = str(ROOT / "fixtures/clusters/gb200-nvl72-rack")
    result = CliRunner().invoke(main, ["simulate", "--trace", "-", "--from", rack, "--json"], input=TRACE)
    found = msgspec.json.decode(result.stdout, type=tuple[Figures, ...])
    assert {figures.wait_p95_seconds for figures in found} == {0}


@pytest.mark.parametrize(
    ("arguments", "trace", "says"),
    [
        ((), "a,b\n", "-: expected CSV with the columns"),
        (("--racks", "100000", "--trays", "2"), TRACE, "expected at most 100000 nodes"),
        (("--svg", "/nowhere/plot.svg"), TRACE, "/nowhere/plot.svg: No such file or directory"),
    ],
)
def test_what_is_wrong_is_said(arguments: tuple[str, ...], trace: str, says: str) -> None:
    result = CliRunner().invoke(main, [*SMALL, *arguments], input=trace)
    assert isinstance(result.exception, NvtopoError)
    assert says in str(result.exception)
