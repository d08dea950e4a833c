"""What README and docs mark as runnable, run as a reader would: a copy of the checkout, a new virtual environment."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.test_docs import PAGES, ROOT

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(900)]

FIXTURES = "fixtures/clusters/gb200-nvl72-demo"
MARK = "<!-- runnable -->\n"
#: README first: it installs.
BLOCKS = {
    page.relative_to(ROOT).as_posix(): re.findall(f"{MARK}```sh\n(.*?)```", page.read_text("utf-8"), flags=re.DOTALL)
    for page in sorted(PAGES, key=lambda page: page != ROOT / "README.md")
}


def test_every_mark_is_above_a_block() -> None:
    for page in PAGES:
        marks = page.read_text(encoding="utf-8").count(MARK)
        assert marks == len(BLOCKS[page.relative_to(ROOT).as_posix()]), page.name


def test_what_is_marked_as_runnable_runs(tmp_path: Path) -> None:
    checkout, home = tmp_path / "checkout", tmp_path / "home"
    home.mkdir()
    words = ("git", "ls-files", "-z", "--", "nvtopo", "setup.cfg", "pyproject.toml", "README.md", "LICENSE", FIXTURES)
    for name in subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            file = checkout / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes((ROOT / name).read_bytes())
    blocks = [block for found in BLOCKS.values() for block in found]
    assert len(blocks) >= 2
    script = "\n".join(("set -e", *blocks, "command -v nvtopo", "nvtopo --version"))
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL", "NVTOPO"))
    }
    environment |= {"HOME": str(home), "PIP_CONSTRAINT": str(ROOT / "constraints.txt"), "PIP_NO_COMPILE": "1"}
    done = subprocess.run(
        ("sh", "-c", script), cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    program, version = done.stdout.splitlines()[-2:]
    assert program == str(checkout / "nvtopo-venv/bin/nvtopo")
    assert version.startswith("nvtopo, version ")
    assert "■ ◧ ■ ■  GPU1 has 17 of 18 NVLinks" in done.stdout
    assert (home / ".local/share/man/man1/nvtopo-dump.1").is_file()
    assert (checkout / "parts.csv").stat().st_size > 1000
