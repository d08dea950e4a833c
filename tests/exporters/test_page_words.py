"""The page's scripts: they parse, find their elements, and speak in words."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "nvtopo/exporters/page"
SCRIPTS = sorted(PAGE.glob("*.js"))
HTML = (PAGE / "index.html").read_text(encoding="utf-8")
IDS = set(re.findall('id="([^"]+)"', HTML))


def test_every_element_that_the_script_asks_for_is_there() -> None:
    script = (PAGE / "page.js").read_text(encoding="utf-8")
    for one in SCRIPTS:
        asked = set(re.findall(r'(?:\$|getElementById)\("([^"]+)"\)', one.read_text(encoding="utf-8")))
        assert asked <= IDS
        assert asked or one.name not in {"page.js", "fabric_view.js"}
    figures = re.findall(
        "^  ([a-z]+): \\[", script.partition("const FIGURES")[2].partition("};")[0], flags=re.MULTILINE
    )
    assert len(figures) == 5
    assert {f"{part}-{figure}" for figure in figures for part in ("count", "word")} <= IDS


def test_no_riddles() -> None:
    said = HTML + "".join(script.read_text(encoding="utf-8") for script in SCRIPTS)
    for riddle in ("no word", "own board", "has said", '"no GPU"'):
        assert riddle not in said
    for word in ("not heard from", "no NVIDIA GPU", "Nothing found", "#node/"):
        assert word in said


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("script", SCRIPTS, ids=[script.name for script in SCRIPTS])
def test_a_script_parses(script: Path) -> None:
    checked = subprocess.run(
        ["node", "--input-type=module", "--check"],
        input=script.read_text(encoding="utf-8"),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (checked.returncode, checked.stderr) == (0, "")
