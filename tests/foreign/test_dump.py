"""``nvtopo dump --from`` tells a file by its content, and imports the readers for nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.foreign.samples import SAMPLES

pytestmark = pytest.mark.slow


def dump(*arguments: str, content: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "nvtopo", "dump", *arguments]
    return subprocess.run(command, input=content, capture_output=True, check=False, timeout=60)


@pytest.mark.parametrize("name", ["topo", "nccl", "archive"])
def test_standard_input_and_a_file_of_any_name_say_the_same(name: str, tmp_path: Path) -> None:
    content = SAMPLES[name]()
    file = tmp_path / "anything.json"
    file.write_bytes(content)
    piped, read = (
        dump("--from", "-", "--format", "json", content=content),
        dump("--from", str(file), "--format", "json"),
    )
    assert piped.returncode == read.returncode == 0
    assert json.loads(piped.stdout) == json.loads(read.stdout)
    assert json.loads(piped.stdout)["spec"]["gpus"]


def test_what_holds_no_topology_ends_with_3_and_one_line() -> None:
    result = dump("--from", "-", content=b"<graphs/>")
    assert (result.returncode, result.stdout, result.stderr.count(b"\n")) == (3, b"", 1)


def test_no_reader_is_imported_without_a_file() -> None:
    code = "import sys; sys.argv = ['nvtopo', 'dump', '--nvml', 'none']; from nvtopo.__main__ import run\n"
    code += "try: run()\nfinally: sys.stderr.write(' '.join(name for name in sys.modules if 'foreign' in name))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=60)
    assert b"foreign" not in result.stderr
