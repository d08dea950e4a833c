"""What users type, and what they get when it goes wrong: one line, the right exit code, nothing half-written."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def nvtopo(*arguments: str, standard_input: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nvtopo", *arguments],
        check=False,
        capture_output=True,
        text=True,
        input=standard_input,
        timeout=60,
    )


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("capture") / "this.json"
    assert nvtopo("capture", "--nvml", "none", str(path)).returncode == 0
    return path


def test_a_capture_reads_back_to_the_same_answer(capture: Path) -> None:
    live = nvtopo("dump", "--format", "json", "--nvml", "none")
    assert nvtopo("dump", "--format", "json", "--from", str(capture)).stdout == live.stdout
    piped = nvtopo("dump", "--format", "json", "--from", "-", standard_input=capture.read_text())
    assert piped.stdout == live.stdout


@pytest.mark.parametrize("form", ["matrix", "json", "labels"])
def test_every_format_prints_something_and_ends_with_a_newline(capture: Path, form: str) -> None:
    result = nvtopo("dump", "--format", form, "--from", str(capture))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("\n")


def test_a_standard_output_that_is_full_is_no_bug(capture: Path) -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "nvtopo", "dump", "--from", str(capture)],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert (result.returncode, result.stderr) == (3, "nvtopo: standard output: No space left on device\n")


@pytest.mark.parametrize(("arguments", "code"), [(["dump", "--from", "/nowhere"], 3), (["sing"], 2)])
def test_where_standard_error_takes_nothing_the_exit_code_says_it(arguments: list[str], code: int) -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run([sys.executable, "-m", "nvtopo", *arguments], check=False, stderr=full, timeout=60)
    assert result.returncode == code


def test_a_pipe_gets_no_colour(capture: Path) -> None:
    assert "\x1b" not in nvtopo("dump", "--from", str(capture)).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["dump", "--format", "poem"], 2, "Invalid value for '-o' / '--format'"),
        (["dump", "--frm", "x"], 2, "No such option"),
        (["sing"], 2, "No such command 'sing'"),
        (["dump", "--from", "/nowhere/x.json"], 3, "/nowhere/x.json: No such file or directory"),
        (["capture", "/nowhere/x.json"], 3, "/nowhere/x.json: No such file or directory"),
        (["agent", "--once", "--no-resource", "--features-dir", "/nowhere"], 3, "a sink could not be written"),
        (["agent", "--no-resource", "--no-features", "--listen", "nonsense"], 2, "expected HOST:PORT"),
    ],
)
def test_what_can_t_be_done_is_one_line_and_an_exit_code(arguments: list[str], code: int, says: str) -> None:
    result = nvtopo(*arguments)
    assert result.returncode == code
    assert says in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "expected a capture"),
        ("{", "expected a capture"),
        ("{}", "expected a capture of version 1 (field 'capture'), got none"),
        ('{"capture": 2}', "expected a capture of version 1 (field 'capture'), got 2"),
        ('{"capture": 1, "pci": {"devices": [{"address": 7}]}}', "$.pci.devices[0].address"),
        ('{"capture": 1, "numa": {"nodes": [{"index": -1}]}}', "$.numa.nodes[0].index"),
        ("[" * 100_000, "expected a capture"),
        ("\0\1\2", "expected a capture"),
    ],
)
def test_a_malformed_capture_is_refused_with_the_place(content: str, says: str) -> None:
    result = nvtopo("dump", "--from", "-", standard_input=content)
    assert result.returncode == 3
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_capture_that_can_t_be_written_leaves_the_old_one(capture: Path) -> None:
    old = capture.read_bytes()
    folder = capture.parent / "folder"
    folder.mkdir()
    result = nvtopo("capture", "--nvml", "none", str(folder / "missing" / "x.json"))
    assert result.returncode == 3
    assert list(folder.iterdir()) == []
    assert capture.read_bytes() == old


def test_dump_starts_without_the_kubernetes_client_or_the_page(capture: Path) -> None:
    program = (
        "import sys; sys.argv=['nvtopo','dump','--from',sys.argv[1]]\n"
        "from nvtopo import cli; cli.main(standalone_mode=False)\n"
        "import json; json.dump(sorted(sys.modules), sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", program, str(capture)], check=True, capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in json.loads(result.stderr)}
    assert not loaded & {
        "kubernetes",
        "pynvml",
        "pyroute2",
        "pyudev",
        "prometheus_client",
        "starlette",
        "psutil",
    }
