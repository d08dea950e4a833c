"""``dump --from`` a folder: the machine in it, or a table in which one bad file is one line."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nvtopo.sinks.text import nodes
from tests.golden import check
from tests.hosts.recorded import FIXTURES

GOLDEN = Path(__file__).parent / "golden"
HOSTS = FIXTURES / "hosts"
RACK = FIXTURES / "clusters" / "gb200-nvl72-demo"


def dump(*arguments: str, code: int = 0) -> tuple[str, str]:
    result = subprocess.run(
        [sys.executable, "-m", "nvtopo", "dump", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == code, result.stderr
    return result.stdout, result.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One machine that is well, two that are not, one that is not known, one without a GPU, and files that are none."""
    for host in ("h100-sxm-8gpu-8cx7", "h100-one-link-down", "h100-no-driver", "h100-links-training", "laptop-no-gpu"):
        shutil.copy(HOSTS / host / "capture.json", tmp_path / f"{host}.json")
    (tmp_path / "bad.json").write_text("{broken\n", encoding="utf-8")
    (tmp_path / "note.txt").write_text("hello\n", encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_a_rack_is_a_table() -> None:
    check(dump("--from", str(RACK))[0], GOLDEN / "dump-rack.txt")


@pytest.mark.slow
def test_a_bad_file_is_one_line_and_the_others_stand(folder: Path) -> None:
    table, said = dump("--from", str(folder))
    check(table.replace(str(folder), "FOLDER"), GOLDEN / "dump-folder.txt")
    assert said.splitlines()[0].startswith("nvtopo: note.txt: expected ")
    assert said.count("\n") == 1


@pytest.mark.slow
def test_host_chooses_one_for_any_format(folder: Path) -> None:
    alone = dump("--from", str(HOSTS / "h100-sxm-8gpu-8cx7" / "capture.json"), "-o", "tree")[0]
    assert dump("--from", str(folder), "-o", "tree", "--host", "h100-0001")[0] == alone
    assert "--host nobody: expected one of h100-0001, " in dump("--from", str(folder), "--host", "nobody", code=2)[1]
    assert "expected --host, one of bad, h100-0001, " in dump("--from", str(folder), "-o", "svg", code=2)[1]


@pytest.mark.slow
def test_the_folder_of_one_machine_is_that_machine(tmp_path: Path) -> None:
    capture = HOSTS / "h100-one-link-down" / "capture.json"
    shown = dump("--from", str(capture))[0]
    assert dump("--from", str(capture.parent))[0] == shown
    shutil.copy(capture, tmp_path / "any-name.json")
    assert dump("--from", str(tmp_path))[0] == shown


@pytest.mark.slow
def test_a_folder_with_nothing_is_refused_in_one_line(tmp_path: Path) -> None:
    assert dump("--from", str(tmp_path), code=3)[1].count("\n") == 1
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    assert dump("--from", str(tmp_path), code=3)[1].count("\n") == 1


@pytest.mark.slow
def test_the_table_goes_to_a_file(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    output = tmp_path_factory.mktemp("output") / "nodes.txt"
    assert dump("--from", str(folder), "--output", str(output))[0] == ""
    assert output.read_text(encoding="utf-8") == dump("--from", str(folder))[0]


def test_a_narrow_terminal_cuts_the_reasons_and_an_odd_name_moves_no_cursor() -> None:
    lines = [nodes.unreadable("no\x1b[2Jde", "reason " * 40)]
    table = nodes.render(lines, columns=80)
    assert max(map(len, table.splitlines())) == 80
    assert "\x1b" not in table
    assert table.startswith("1 node, 0 GPUs: 1 not known\n")
