"""How many inputs each decoder has had: ``tried.json``, and its table in docs/fuzzing.md.

``python -m tests.fuzz --record`` keeps both.
N inputs of a decoder are those of the seeds 0 to N - 1, none of which broke it when it was tried.
"""

from pathlib import Path
from typing import Final

import msgspec

from tests.fuzz.targets import TARGETS, WIRE

TRIED: Final = Path(__file__).with_name("tried.json")
PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "fuzzing.md"
_HEAD: Final = "| decoder | of | inputs |\n|---|---|---|\n"


def tried() -> dict[str, int]:
    """Decoder → inputs so far; 0 of one that is new."""
    found = msgspec.json.decode(TRIED.read_bytes(), type=dict[str, int])
    return {name: found.get(name, 0) for name in TARGETS}


def add(name: str, inputs: int) -> None:
    """Count what was tried just now, and show it. Read again, so that two that run at a time lose nothing of others."""
    counts = tried()
    counts[name] += inputs
    TRIED.write_bytes(msgspec.json.format(msgspec.json.encode(counts, order="sorted"), indent=1) + b"\n")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), counts), encoding="utf-8")


def page(text: str, counts: dict[str, int]) -> str:
    """The page with the table of these counts, which is its end."""
    return text[: text.index(_HEAD)] + _HEAD + "".join(_row(name, count) for name, count in sorted(counts.items()))


def _row(name: str, count: int) -> str:
    return f"| `{name}` | {'wire' if name in WIRE else 'file'} | {count:,} |\n"
