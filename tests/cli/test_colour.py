"""Colours where people look, and nowhere else."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nvtopo.cli import colour
from nvtopo.exporters import racks
from tests.hosts.recorded import FIXTURES

pytestmark = pytest.mark.slow

CAPTURE = FIXTURES / "hosts" / "gb200-nvl72-tray" / "capture.json"
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")

VERBS = [
    pytest.param(["dump", "--from", str(CAPTURE)], id="matrix"),
    pytest.param(["dump", "--from", str(CAPTURE), "--format", "tree"], id="tree"),
    pytest.param(["graph", "--from", "."], id="racks"),
]


def on_a_terminal(directory: Path, *arguments: str, **environment: str) -> str:
    (directory / "node-a.json").write_bytes(CAPTURE.read_bytes())
    terminal, its_end = pty.openpty()
    shown = b""
    with subprocess.Popen(
        [sys.executable, "-m", "nvtopo", *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONUTF8": "1", "TERM": "xterm", **environment},
        stdout=its_end,
        stdin=subprocess.DEVNULL,
    ) as process:
        os.close(its_end)
        try:
            while chunk := os.read(terminal, 1 << 16):
                shown += chunk
        except OSError:  # EIO: nobody has the other end
            os.close(terminal)
    assert process.returncode == 0
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("arguments", VERBS)
def test_a_terminal_gets_colours_unless_it_asks_for_none(arguments: list[str], tmp_path: Path) -> None:
    coloured = on_a_terminal(tmp_path, *arguments, NO_COLOR="")
    assert ESCAPE.search(coloured)
    assert on_a_terminal(tmp_path, *arguments, NO_COLOR="1") == ESCAPE.sub("", coloured)


def test_every_health_of_the_racks_has_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colour, "wanted", lambda: True)
    looks = [span.look for span in racks.GLYPHS.values()]
    assert [look for look in looks if colour.style("x", look) == "x"] == []
