"""The picture's colours and type, for light and dark readers."""

from typing import Final

STYLE: Final = """
svg { --paper: #ffffff; --ink: #1b2330; --soft: #566173; --line: #d3d9e2; --panel: #f4f6f9; --bridge: #ffffff;
  --switch: #eaeff6; --tile: #ffffff; --ok: #2f8f4e; --warn: #c77700; --bad: #c92a3a; --quiet: #9aa4b2;
  --unknown: #7a8aa0; --gpu: #f1f9ec; --nvlink: #76b900; --band: #e9f5d8; --bandink: #3c5f00; }
@media (prefers-color-scheme: dark) {
  svg { --paper: #12161d; --ink: #e8ecf2; --soft: #a3aebd; --line: #364150; --panel: #1a2029; --bridge: #161b23;
    --switch: #222b37; --tile: #1b222c; --ok: #56c271; --warn: #f0a840; --bad: #ff6b76; --quiet: #66707e;
    --unknown: #8494a8; --gpu: #1c2a1c; --nvlink: #7fbf1a; --band: #22301a; --bandink: #c6ea8d; } }
text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  font-size: 12px; fill: var(--ink); }
.title { font-size: 20px; font-weight: 650; }
.subtitle { font-size: 13px; fill: var(--soft); }
.strong { font-weight: 650; }
.heading { font-size: 14px; font-weight: 650; }
.name { font-size: 13px; font-weight: 650; }
.soft { fill: var(--soft); }
.tiny { font-size: 11px; fill: var(--soft); }
text.warn { fill: var(--warn); }
.link { font-weight: 650; fill: var(--bandink); }
.bandname { font-size: 13px; font-weight: 650; fill: var(--bandink); }
rect.paper { fill: var(--paper); }
rect.panel { fill: var(--panel); stroke: var(--line); }
rect.bridge { fill: var(--bridge); stroke: var(--line); stroke-dasharray: 4 3; }
rect.switch { fill: var(--switch); stroke: var(--line); }
rect.tile { fill: var(--tile); stroke: var(--line); }
.gpu rect.tile { fill: var(--gpu); stroke: var(--ok); }
.gpu.warn rect.tile { stroke: var(--warn); stroke-width: 2; }
.gpu.bad rect.tile { stroke: var(--bad); stroke-width: 2; }
.quiet rect.tile { stroke-dasharray: 3 3; }
.quiet text { fill: var(--quiet); }
.ok rect.stripe { fill: var(--ok); }
.warn rect.stripe { fill: var(--warn); }
.bad rect.stripe { fill: var(--bad); }
.quiet rect.stripe { fill: var(--quiet); }
.unknown rect.stripe { fill: var(--tile); stroke: var(--unknown); }
.neutral rect.stripe { fill: var(--line); }
rect.band { fill: var(--band); stroke: var(--nvlink); }
rect.nvswitch { fill: var(--paper); stroke: var(--nvlink); }
rect.pill { fill: var(--paper); stroke: var(--nvlink); stroke-width: 0.75; }
.nvlink { fill: none; stroke: var(--nvlink); stroke-linecap: butt; }
.nvlink.mesh { stroke-opacity: 0.55; }
.nvlink.idle { stroke: var(--quiet); stroke-dasharray: 5 4; }
"""
