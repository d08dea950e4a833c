import sys
import time
from pathlib import Path

import pytest

from nvtopo.runtime.worker_process import DeadlineExceeded, WorkerProcess


def started(program: str) -> WorkerProcess:
    return WorkerProcess([sys.executable, "-c", program])


def open_files() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def soon() -> float:
    return time.monotonic() + 20


def test_a_line_is_had_before_the_child_ends() -> None:
    child = started("import time; print('x' * 200_000, flush=True); time.sleep(60)")
    assert child.line(soon()) == b"x" * 200_000
    child.end()


def test_a_child_that_says_nothing_until_the_deadline_is_left() -> None:
    child = started("import time; time.sleep(60)")
    with pytest.raises(DeadlineExceeded):
        child.line(time.monotonic() + 0.1)
    child.end()


@pytest.mark.parametrize(
    ("program", "code"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 11)", -11)]
)
def test_a_child_that_dies_says_how(program: str, code: int) -> None:
    child = started(program)
    assert child.line(soon()) == b""
    assert child.wait() == code
    child.end()


def test_what_there_is_of_a_line_is_given() -> None:
    child = started("print('half', end='')")
    assert child.line(soon()) == b"half"
    child.end()


def test_a_child_has_nothing_to_read_and_leaves_nothing_open() -> None:
    before = open_files()
    child = started("import sys; print(len(sys.stdin.read()))")
    assert child.line(soon()) == b"0"
    child.end()
    assert open_files() == before
    assert not Path(f"/proc/{child._pid}").exists()


def test_a_program_that_is_not_there_leaves_nothing_open() -> None:
    before = open_files()
    with pytest.raises(FileNotFoundError):
        WorkerProcess(["/nonexistent/python"])
    assert open_files() == before
