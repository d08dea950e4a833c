"""Manual pages and completion are made of the commands themselves, and roff takes them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from nvtopo import cli
from nvtopo.cli import habits, man

PAGES = man.pages(cli.main)


def test_every_verb_has_a_page_with_its_options_and_examples() -> None:
    assert set(PAGES) == {"nvtopo.1", *(f"nvtopo-{verb}.1" for verb in cli.VERBS)}
    for verb in cli.VERBS:
        command = cli.main.get_command(click.Context(cli.main), verb)
        assert command is not None
        page = PAGES[f"nvtopo-{verb}.1"].replace(r"\-", "-").replace(r"\e", "\\")
        for option in command.params:
            assert not isinstance(option, click.Option) or option.hidden or max(option.opts, key=len) in page, option
        for line, _ in habits.EXAMPLES.get(verb, ()):
            assert line in page
        assert f"nvtopo\\-{verb.replace('-', chr(92) + '-')} (1)" in PAGES["nvtopo.1"]


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
@pytest.mark.parametrize("name", ["nvtopo.1", "nvtopo-dump.1", "nvtopo-export.1"])
def test_roff_has_nothing_to_say(name: str) -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-Wbreak"],
        input=PAGES[name],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert "a bug" in done.stdout


def test_no_line_of_text_is_taken_for_a_request() -> None:
    command = click.Command("odd", help=".SH is a request\n\n'so is this\n\nback\\slash")
    page = man.page(command, "odd")
    assert "\n\\&.SH is a request\n" in page
    assert "\n\\&'so is this\n" in page
    assert "back\\eslash" in page


def run(*arguments: str, code: int = 0, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "nvtopo", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_pages_are_written_and_one_is_printed(tmp_path: Path) -> None:
    assert run("man", "--output", str(tmp_path / "man1")) == ""
    assert {file.name: file.read_text(encoding="utf-8") for file in (tmp_path / "man1").iterdir()} == PAGES
    assert run("man", "dump") == PAGES["nvtopo-dump.1"]
    assert run("man") == PAGES["nvtopo.1"]
    assert "Did you mean dump?" in run("man", "dmup", code=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shell", "below"),
    [
        ("bash", ".local/share/bash-completion/completions/nvtopo"),
        ("zsh", ".local/share/zsh/site-functions/_nvtopo"),
        ("fish", ".config/fish/completions/nvtopo.fish"),
    ],
)
def test_completion_is_installed_by_one_command(shell: str, below: str, tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": ""}
    said = run("completion", shell, "--install", environment=home)
    assert said.startswith(f"{tmp_path / below} is written; a new {shell} has it")
    assert ("compinit" in said) is (shell == "zsh")
    assert (tmp_path / below).read_text(encoding="utf-8") == run("completion", shell)


@pytest.mark.slow
def test_a_home_that_takes_no_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for words in (("completion", "bash", "--install"), ("man", "--output", str(tmp_path / "file" / "man1"))):
        said = run(*words, code=3, environment={"XDG_DATA_HOME": str(tmp_path / "file")})
        assert said.startswith(f"nvtopo: {tmp_path / 'file'}")
        assert said.count("\n") == 1
