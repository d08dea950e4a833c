"""The README's first screen is what the command prints."""

import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_matrix_is_what_dump_prints() -> None:
    block = (ROOT / "README.md").read_text(encoding="utf-8").partition("```console\n$ ")[2].partition("\n```")[0]
    command, _, shown = block.partition("\n")
    arguments = shlex.split(command, comments=True)[1:]
    printed = subprocess.run(
        [sys.executable, "-m", "nvtopo", *arguments], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60
    ).stdout
    assert len(shown.splitlines()) > 10
    assert printed.startswith(shown)


def test_the_series_are_what_dump_prints() -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## What it watches")[2]
    command, *shown = section.partition("```console\n$ ")[2].partition("\n```")[0].splitlines()
    printed = subprocess.run(
        [sys.executable, "-m", "nvtopo", *shlex.split(command, comments=True)[1:]],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.splitlines()
    assert len(shown) > 3
    assert set(shown) <= set(printed)


def test_every_link_leads_somewhere() -> None:
    for page in ("README.md", "CONTRIBUTING.md", "docs/architecture.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        targets = [piece.partition(")")[0] for piece in text.split("](")[1:]]
        for target in targets:
            if "://" not in target:
                assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}"
