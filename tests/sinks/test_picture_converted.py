"""The picture as PNG and PDF: drawn in its colours, written under the name that was asked for, refused in one line."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nvtopo.errors import UsageError
from nvtopo.sinks.picture import svg_style
from nvtopo.sinks.picture.converted import converted
from tests.cli.test_command_line import nvtopo
from tests.sinks.test_picture import LINK_DOWN, picture, pixels

CAPTURE = str(LINK_DOWN / "capture.json")


@pytest.mark.slow
def test_png_has_the_colours_of_the_light_theme(tmp_path: Path) -> None:
    pytest.importorskip("cairosvg")
    file = tmp_path / "topology.png"
    result = nvtopo("dump", "--from", CAPTURE, "--output", str(file))
    assert (result.returncode, result.stdout) == (0, "")
    counted = pixels(file.read_bytes())
    for name in ("paper", "panel", "gpu", "nvlink", "band", "ok", "warn"):
        red, green, blue = bytes.fromhex(svg_style.LIGHT[name][1:])
        assert counted[red, green, blue] > 20, name


@pytest.mark.slow
def test_pdf_has_its_text_as_text(tmp_path: Path) -> None:
    pytest.importorskip("cairosvg")
    file = tmp_path / "topology.PDF"
    result = nvtopo("dump", "--from", CAPTURE, "--output", str(file))
    assert (result.returncode, result.stdout) == (0, "")
    content = file.read_bytes()
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")
    assert b"/Type /Font" in content
    assert b"/Subtype /Image" not in content


@pytest.mark.parametrize("form", ["png", "pdf"])
def test_without_the_package_a_line_says_what_to_install(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cairosvg", None)
    with pytest.raises(UsageError, match=r"-m pip install '(cairosvg>=2\.7|nvtopo\[picture\])'$"):
        converted(picture(LINK_DOWN), form)


@pytest.mark.parametrize("form", ["png", "pdf"])
def test_a_picture_that_takes_seconds_is_refused(form: str) -> None:
    pytest.importorskip("cairosvg")
    with pytest.raises(UsageError, match="the picture is too large; expected svg"):
        converted(picture(LINK_DOWN).replace("</svg>", "<g/>" * 70_000 + "</svg>"), form)


def test_without_the_library_a_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cairosvg.py").write_text('raise OSError("no library called cairo was found")')
    monkeypatch.delitem(sys.modules, "cairosvg", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=r"apt-get install -y libcairo2$"):
        converted(picture(LINK_DOWN), "png")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("script") is None, reason="script is not installed (bsdutils)")
def test_a_terminal_gets_no_bytes(tmp_path: Path) -> None:
    command = f"{sys.executable} -m nvtopo dump --from {CAPTURE} --format PNG"
    words = ("script", "--quiet", "--return", "--command", command, str(tmp_path / "typescript"))
    done = subprocess.run(words, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 2
    assert done.stdout.strip().endswith("--format png is not for a terminal: --output topology.png")
