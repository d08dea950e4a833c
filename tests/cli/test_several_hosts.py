"""Commands on a file of several hosts, and on one that shows less than they need."""

import json
from pathlib import Path
from typing import Final

import pytest

from tests.cli.test_command_line import nvtopo
from tests.foreign.samples import ibstat, matrix, switched

pytestmark = pytest.mark.slow

_TEXT: Final = f"=== a-1 ===\n{matrix(*switched(2, 1))}\n=== b-2 ===\n{matrix(*switched(4, 2))}\n"


@pytest.fixture
def two(tmp_path: Path) -> Path:
    path = tmp_path / "two.txt"
    path.write_text(_TEXT, encoding="utf-8")
    return path


def test_dump_shows_the_first_host_and_names_the_others(two: Path) -> None:
    result = nvtopo("dump", "--from", str(two), "--format", "json")
    assert result.returncode == 0
    assert len(json.loads(result.stdout)["spec"]["gpus"]) == 2
    assert result.stderr == f"nvtopo: {two} holds 2 hosts: a-1 is shown, --host shows b-2\n"


@pytest.mark.parametrize("host", ["b-2", "2"])
def test_a_host_is_chosen_by_name_or_number(two: Path, host: str) -> None:
    result = nvtopo("dump", "--from", str(two), "--format", "json", "--host", host)
    assert (result.returncode, len(json.loads(result.stdout)["spec"]["gpus"]), result.stderr) == (0, 4, "")
    converted = nvtopo("convert", str(two), "--host", host)
    assert "nvtopo.io/gpu.count=4" in converted.stdout


@pytest.mark.parametrize("host", ["c-3", "3", "0"])
def test_a_host_that_is_not_there_is_wrong_usage(two: Path, host: str) -> None:
    result = nvtopo("dump", "--from", str(two), "--host", host)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"nvtopo: --host {host}: expected one of a-1, b-2, or a number up to 2, in {two}\n"


def test_a_host_needs_a_file() -> None:
    assert nvtopo("dump", "--host", "a").returncode == 2


def test_graph_reads_all_hosts_of_a_file(two: Path) -> None:
    result = nvtopo("graph", "--from", str(two), "--format", "json")
    nodes = json.loads(result.stdout)["nodes"]
    assert {name: node["gpus"] for name, node in nodes.items()} == {"a-1": 2, "b-2": 4}


def test_convert_says_what_the_input_does_not_show() -> None:
    result = nvtopo("convert", "-", standard_input=ibstat().decode())
    assert result.returncode == 0
    assert "gpu.count" not in result.stdout
    assert "does not show all GPUs" in result.stderr
    assert "NVIDIA driver" not in nvtopo("dump", "--from", "-", standard_input=ibstat().decode()).stdout


def test_a_pods_manifest_beside_an_output_is_no_resource() -> None:
    manifest = "apiVersion: v1\nkind: Pod\nspec:\n  containers: []\n"
    result = nvtopo("dump", "--format", "json", "--from", "-", standard_input=f"{manifest}\n{matrix(*switched(2, 0))}")
    assert (result.returncode, len(json.loads(result.stdout)["spec"]["gpus"])) == (0, 2)
    assert nvtopo("dump", "--from", "-", standard_input=manifest).returncode == 3
