"""How the HTML report looks: light and dark by the reader's theme; a word stands beside each colour."""

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --line: #8885; --bad: #c62828; --warn: #b26a00; --ok: #2e7d32; --quiet: #777; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff7b72; --warn: #e3b341; --ok: #7ee787; --quiet: #999; } }
body { font: 15px/1.4 system-ui, sans-serif; margin: 1.5rem auto; max-width: 80rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 1.4rem 0 .4rem; }
table { border-collapse: collapse; width: 100%; } td, th { border-bottom: 1px solid var(--line); padding: .3rem .6rem;
text-align: left; vertical-align: top; overflow-wrap: anywhere; }
.critical, .not-ready { color: var(--bad); font-weight: 600; } .warning, .cannot-know { color: var(--warn); }
th, td.critical, td.warning, td.info { overflow-wrap: normal; white-space: nowrap; }
.ready { color: var(--ok); } .info { color: var(--quiet); } code { font-size: .85em; }
pre { overflow-x: auto; font-size: 12px; } img { max-width: 100%; height: auto; } summary { cursor: pointer; }
"""
