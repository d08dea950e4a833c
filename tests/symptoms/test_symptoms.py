"""docs/troubleshooting.md, symptom by symptom: a machine that is well, its fault by a script, and the answer shown."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from nvtopo import cli
from tests.faults.node import Node
from tests.hosts.recorded import FIXTURES
from tests.symptoms.machines import SYMPTOMS, RackSymptom, Symptom, rack
from tests.test_docs import ROOT, fenced, is_shown

PAGE: Final = ROOT / "docs" / "troubleshooting.md"
SECTIONS: Final = dict(
    section.split("\n", 1) for section in re.split("^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
)
ANSWERED: Final = {
    heading: blocks
    for heading, text in SECTIONS.items()
    if (blocks := [block for language, block in fenced(text) if language == "console"])
}


def test_twelve_symptoms_are_answered_and_each_has_a_script() -> None:
    assert list(ANSWERED) == list(SYMPTOMS)
    assert len(ANSWERED) >= 12


@pytest.mark.slow
@pytest.mark.parametrize("heading", [name for name, one in SYMPTOMS.items() if isinstance(one, Symptom)])
def test_a_machine_that_falls_ill_gives_the_answer_of_the_page(heading: str, tmp_path: Path) -> None:
    symptom = SYMPTOMS[heading]
    assert isinstance(symptom, Symptom)
    with Node(tmp_path, FIXTURES / "hosts" / symptom.host) as node:
        node.install_driver()
        symptom.well(node)
        before = captured(node, "before")
        symptom.ill(node)
        after = captured(node, "after")
    for block in ANSWERED[heading]:
        command, *shown = block.removeprefix("$ ").splitlines()
        for file in (before, after):
            named(file, _source(command))
        assert not is_shown(shown, answer(command, before)), "before its fault"
        assert is_shown(shown, found := answer(command, after)), found


@pytest.mark.slow
@pytest.mark.parametrize("heading", [name for name, one in SYMPTOMS.items() if isinstance(one, RackSymptom)])
def test_a_rack_that_falls_ill_gives_the_answer_of_the_page(heading: str, tmp_path: Path) -> None:
    symptom = SYMPTOMS[heading]
    assert isinstance(symptom, RackSymptom)
    trays = rack(tmp_path)
    (block,) = ANSWERED[heading]
    command, *shown = block.removeprefix("$ ").splitlines()
    assert not is_shown(shown, answer(command.partition(" --stale")[0], trays)), "before its fault"
    symptom.ill(trays)
    assert is_shown(shown, found := answer(command, trays)), found


def captured(node: Node, name: str) -> Path:
    """``nvtopo capture`` on the machine, as it is now."""
    file = node.directory / f"{name}.json"
    words = ("capture", str(file), "--root", str(node.root), "--nvml", str(node.driver))
    environment = os.environ | {"NVTOPO_NVML_FIXTURE": str(node.fixture)}
    subprocess.run((sys.executable, "-m", "nvtopo", *words), env=environment, cwd=ROOT, check=True, timeout=60)
    return file


def _source(command: str) -> Path:
    (found,) = (word for word in shlex.split(command) if word.startswith("fixtures/"))
    return ROOT / found


def named(file: Path, like: Path) -> None:
    """The machine of the page has another name."""
    document = json.loads(file.read_text(encoding="utf-8"))
    document["host"]["name"] = json.loads(like.read_text(encoding="utf-8"))["host"]["name"]
    file.write_text(json.dumps(document), encoding="utf-8")


def answer(command: str, source: Path) -> list[str]:
    """What the page's command prints of another file or folder."""
    words = [str(source) if word.startswith("fixtures/") else word for word in shlex.split(command)[1:]]
    words = [str(ROOT / word) if word.startswith("docs/") else word for word in words]
    return CliRunner().invoke(cli.main, words).stdout.splitlines()
