"""The picture in readers other than browsers: colours written out, nothing cut, the missing link named."""

import re
import shutil
import subprocess
import zlib
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.hierarchy import functions_of
from nvtopo.sinks.picture import svg, svg_style
from nvtopo.sources.capture import parse_capture
from tests.hosts.recorded import FIXTURES, HOSTS

LINK_DOWN = FIXTURES / "hosts" / "h100-one-link-down"


def picture(host: Path) -> str:
    snapshot = parse_capture((host / "capture.json").read_bytes(), host.name)
    node = assemble(snapshot)
    return svg.render(node, derive(node), functions_of(snapshot))


@pytest.mark.parametrize("host", HOSTS, ids=[host.name for host in HOSTS])
def test_no_text_is_cut_and_no_colour_is_a_variable(host: Path) -> None:
    drawn = picture(host)
    assert re.findall(">([^<>]*…)", drawn) == []
    assert "var(" not in drawn


def test_both_themes_have_every_colour_and_dark_comes_last() -> None:
    light, dark = svg_style.STYLE.split("@media (prefers-color-scheme: dark)")
    assert set(re.findall("#[0-9a-f]{6}", light)) == set(svg_style.LIGHT.values())
    assert set(re.findall("#[0-9a-f]{6}", dark)) == set(svg_style.DARK.values())


def test_the_tile_says_how_many_links_are_up_and_which_is_not() -> None:
    texts = re.findall("<text[^>]*>([^<]*)</text>", picture(LINK_DOWN))
    assert ("17 of 18 NVLinks 4.0", "link 7 inactive") in list(pairwise(texts))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("rsvg-convert") is None, reason="rsvg-convert is not installed (librsvg2-bin)")
def test_rsvg_draws_the_colours_of_the_light_theme(tmp_path: Path) -> None:
    drawing, image = tmp_path / "node.svg", tmp_path / "node.png"
    drawing.write_text(picture(LINK_DOWN), encoding="utf-8")
    subprocess.run(["rsvg-convert", "--output", image, drawing], check=True, timeout=60)
    counted = pixels(image.read_bytes())
    assert counted.most_common(1)[0][0] != (0, 0, 0)
    for name in ("paper", "panel", "gpu", "nvlink", "band", "ok", "warn"):
        red, green, blue = bytes.fromhex(svg_style.LIGHT[name][1:])
        assert counted[red, green, blue] > 20, name


def pixels(png: bytes) -> Counter[tuple[int, int, int]]:
    """How often each colour is in an image of eight bits a channel, without interlacing."""
    position, data, (width, channels) = 8, b"", (0, 0)
    while position < len(png):
        size, kind = int.from_bytes(png[position : position + 4]), png[position + 4 : position + 8]
        body = png[position + 8 : position + 8 + size]
        if kind == b"IHDR":
            width, channels = int.from_bytes(body[:4]), {2: 3, 6: 4}[body[9]]
            assert (body[8], body[12]) == (8, 0)
        data += body if kind == b"IDAT" else b""
        position += size + 12
    raw, line = zlib.decompress(data), width * channels
    found: Counter[tuple[int, int, int]] = Counter()
    above = bytearray(line)
    for start in range(0, len(raw), line + 1):
        above = unfiltered(raw[start], raw[start + 1 : start + 1 + line], above, channels)
        found.update(zip(above[0::channels], above[1::channels], above[2::channels], strict=True))
    return found


def unfiltered(kind: int, row: bytes, above: bytearray, channels: int) -> bytearray:
    """One row of a PNG, by the filters of its specification."""
    out = bytearray(row)
    for at in range(len(row)) if kind else ():
        left, up = (out[at - channels] if at >= channels else 0), above[at]
        corner = above[at - channels] if at >= channels else 0
        nearest = min((left, up, corner), key=lambda one: abs(left + up - corner - one))
        out[at] = (out[at] + (left, up, (left + up) // 2, nearest)[kind - 1]) & 0xFF
    return out
