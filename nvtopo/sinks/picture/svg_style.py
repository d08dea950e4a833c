"""The picture's colours and type, for light and dark readers.

Colours are written out in each rule: rsvg-convert, ImageMagick and Inkscape know no custom properties of CSS and draw
``var(--…)`` black. The light theme is a plain rule, and the dark one comes last, so that a reader without media queries
keeps the light one.
"""

from collections.abc import Mapping
from string import Template
from types import MappingProxyType
from typing import Final

LIGHT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "paper": "#ffffff",
        "ink": "#1b2330",
        "soft": "#566173",
        "line": "#d3d9e2",
        "panel": "#f4f6f9",
        "bridge": "#ffffff",
        "switch": "#eaeff6",
        "tile": "#ffffff",
        "ok": "#2f8f4e",
        "warn": "#955800",
        "bad": "#c92a3a",
        "quiet": "#606b7b",
        "unknown": "#7a8aa0",
        "gpu": "#f1f9ec",
        "nvlink": "#5a8f00",
        "band": "#e9f5d8",
        "bandink": "#3c5f00",
    }
)
DARK: Final[Mapping[str, str]] = MappingProxyType(
    {
        "paper": "#12161d",
        "ink": "#e8ecf2",
        "soft": "#a3aebd",
        "line": "#364150",
        "panel": "#1a2029",
        "bridge": "#161b23",
        "switch": "#222b37",
        "tile": "#1b222c",
        "ok": "#56c271",
        "warn": "#f0a840",
        "bad": "#ff6b76",
        "quiet": "#929dac",
        "unknown": "#8494a8",
        "gpu": "#1c2a1c",
        "nvlink": "#7fbf1a",
        "band": "#22301a",
        "bandink": "#c6ea8d",
    }
)

_SHAPES: Final = """
text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  font-size: 12px; }
.title { font-size: 20px; font-weight: 650; }
.subtitle { font-size: 13px; }
.strong { font-weight: 650; }
.heading { font-size: 14px; font-weight: 650; }
.name { font-size: 13px; font-weight: 650; }
.tiny { font-size: 11px; }
.link { font-weight: 650; }
.bandname { font-size: 13px; font-weight: 650; }
rect.bridge { stroke-dasharray: 4 3; }
.gpu.warn rect.tile, .gpu.bad rect.tile { stroke-width: 2; }
.quiet rect.tile { stroke-dasharray: 3 3; }
rect.pill { stroke-width: 0.75; }
.nvlink { fill: none; stroke-linecap: butt; }
.nvlink.mesh { stroke-opacity: 0.55; }
.nvlink.idle { stroke-dasharray: 5 4; }
"""

_COLOURS: Final = Template("""\
text { fill: $ink; }
.subtitle, .soft, .tiny { fill: $soft; }
text.warn { fill: $warn; }
.link, .bandname { fill: $bandink; }
rect.paper { fill: $paper; }
rect.panel { fill: $panel; stroke: $line; }
rect.bridge { fill: $bridge; stroke: $line; }
rect.switch { fill: $switch; stroke: $line; }
rect.tile { fill: $tile; stroke: $line; }
.gpu rect.tile { fill: $gpu; stroke: $ok; }
.gpu.warn rect.tile { stroke: $warn; }
.gpu.bad rect.tile { stroke: $bad; }
.quiet text { fill: $quiet; }
.ok rect.stripe { fill: $ok; }
.warn rect.stripe { fill: $warn; }
.bad rect.stripe { fill: $bad; }
.quiet rect.stripe { fill: $quiet; }
.unknown rect.stripe { fill: $tile; stroke: $unknown; }
.neutral rect.stripe { fill: $line; }
rect.band { fill: $band; stroke: $nvlink; }
rect.nvswitch, rect.pill { fill: $paper; stroke: $nvlink; }
.nvlink { stroke: $nvlink; }
.nvlink.idle { stroke: $quiet; }
""")

STYLE: Final = (
    f"{_SHAPES}{_COLOURS.substitute(LIGHT)}@media (prefers-color-scheme: dark) {{\n{_COLOURS.substitute(DARK)}}}\n"
)
