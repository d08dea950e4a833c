"""A program that hangs, fails, floods or is not there; and what is left of it afterwards."""

import os
import sys
import time

import pytest

from gputest import programs

pytestmark = pytest.mark.slow

PYTHON = (sys.executable, "-c")


def test_what_a_program_prints() -> None:
    found = programs.run((*PYTHON, "print('x')"), 20)
    assert (found.state, found.text, found.reason) == ("ok", b"x\n", "")


def test_one_that_is_not_there() -> None:
    found = programs.run(("/nonexistent/nvidia-smi", "-q"), 20)
    assert (found.state, found.reason) == ("missing", "/nonexistent/nvidia-smi is not installed")


def test_one_that_fails_says_why_in_one_line() -> None:
    found = programs.run((*PYTHON, "import sys; print('a'); sys.exit('no\\ndriver')"), 20)
    assert (found.state, found.reason) == ("failed", "ended with 1: no driver")


def test_no_time_left_starts_nothing() -> None:
    assert programs.run(("/nonexistent",), 0).state == "skipped"


@pytest.mark.parametrize("closes", ["", "os.close(1); os.close(2); "])
def test_one_that_hangs_ends_at_the_deadline_with_its_children(closes: str) -> None:
    program = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"print(child.pid, flush=True)\n{closes}time.sleep(600)\n"
    )
    began = time.monotonic()
    found = programs.run((*PYTHON, program), 1.5)
    assert found.state == "hung"
    assert "1.5" in found.reason or "2 s" in found.reason or "end" in found.reason
    assert time.monotonic() - began < 10
    child = int(found.text)
    for _ in range(100):  # the kernel reaps an orphan in its own time
        if not _runs(child):
            return
        time.sleep(0.05)
    pytest.fail(f"process {child} still runs")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:  # noqa: PTH123
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_one_that_never_stops_printing_is_bounded() -> None:
    found = programs.run((*PYTHON, "import sys\nwhile True: sys.stdout.write('x' * 65536)"), 60)
    assert found.state == "hung"
    assert "MiB" in found.reason
    assert len(found.text) <= 16 << 20
