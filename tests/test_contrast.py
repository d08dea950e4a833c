"""Colours of page, picture and report can be told apart, by the formula of WCAG 2.2, and none stands alone."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

import nvtopo
from nvtopo.reports.html_style import STYLE as REPORT
from nvtopo.sinks.picture import svg_style

CSS = (Path(nvtopo.__file__).parent / "exporters" / "page" / "page.css").read_text(encoding="utf-8")
#: What is read, and what is only seen beside a word or a shape.
TEXT, SHAPE = 4.5, 3.0


def luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    whole = "".join(2 * one for one in digits) if len(digits) == 3 else digits
    channels = (int(whole[place : place + 2], 16) / 255 for place in (0, 2, 4))
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return sum(share * one for share, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def themes(css: str) -> dict[str, dict[str, str]]:
    """The variables of the light theme, and of the dark one, which replaces some."""
    light, _, dark = css.partition("prefers-color-scheme: dark")
    found = [dict(re.findall(r"--([a-z]+): (#[0-9a-f]{3,6})\b", part)) for part in (light, dark.partition("}\n}")[0])]
    return {"light": found[0], "dark": {**found[0], **found[1]}}


PAGE = themes(CSS)
PICTURE: Mapping[str, Mapping[str, str]] = {"light": svg_style.LIGHT, "dark": svg_style.DARK}


def test_black_on_white_is_the_most_there_is() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.478, abs=0.001)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["card", "ground", "hover"])
def test_the_page_can_be_read(theme: str, ground: str) -> None:
    colours = PAGE[theme]
    for name in ("ink", "quiet", "accent", "degraded"):
        assert contrast(colours[name], colours[ground]) >= TEXT, name
    for name in ("ok", "degraded", "registering", "fault", "unknown"):
        assert contrast(colours[name], colours[ground]) >= SHAPE, name


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_marks_in_the_pages_gpus_can_be_seen(theme: str) -> None:
    for name in ("fault", "unknown"):
        assert contrast(PAGE[theme]["mark"], PAGE[theme][name]) >= SHAPE


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_picture_can_be_read(theme: str) -> None:
    colours = PICTURE[theme]
    for ground in ("paper", "panel", "bridge", "switch", "tile", "gpu"):
        for name in ("ink", "soft", "warn", "quiet"):
            assert contrast(colours[name], colours[ground]) >= TEXT, f"{name} on {ground}"
        for name in ("ok", "warn", "bad", "unknown", "nvlink"):
            assert contrast(colours[name], colours[ground]) >= SHAPE, f"{name} on {ground}"
    for ground in ("band", "paper"):
        assert contrast(colours["bandink"], colours[ground]) >= TEXT


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_report_can_be_read(theme: str) -> None:
    ground = {"light": "#ffffff", "dark": "#121212"}[theme]
    for name in ("bad", "warn", "ok", "quiet"):
        assert contrast(themes(REPORT)[theme][name], ground) >= SHAPE, name


def test_no_health_is_told_by_its_colour_alone() -> None:
    """Each has a sign or a shape of its own: filled without a sign, cut in half, round, or one of three signs."""
    rules = dict(re.findall(r'\.gpu\[data-health="([a-z]+)"\] \{ ([^}]*)\}', CSS))
    signs = dict(re.findall(r'\.gpu\[data-health="([a-z]+)"\]::before \{ content: "(.)"', CSS))
    assert set(signs) == {"fault", "unknown", "stale"}
    assert len(set(signs.values())) == len(signs)
    assert "linear-gradient" in rules["degraded"]
    assert "border-radius: 50%" in rules["registering"]
    assert rules["ok"].strip() == "background: var(--ok);"
